# One bucket as the portal's posture rules want it: versions, Object Lock, KMS, closed to the public, one group of writers, TLS.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.40"
    }
  }
}

variable "name" {
  description = "Name of the bucket."
  type        = string
}

variable "kms_key_arn" {
  description = "The key that encrypts what is put here."
  type        = string
}

variable "lock_mode" {
  description = "COMPLIANCE (nobody can delete before the date) or GOVERNANCE."
  type        = string
}

variable "lock_days" {
  description = "Days for which a version is locked unless its writer asks for more."
  type        = number
}

variable "writers" {
  description = "ARNs of the principals that may write; patterns with * are possible and better avoided."
  type        = list(string)
  default     = []
}

variable "writer_service" {
  description = "The AWS service that writes, instead of principals: cloudtrail.amazonaws.com for the bucket of a trail."
  type        = string
  default     = ""
}

variable "more_statements" {
  description = "Further statements of the bucket's policy, as JSON objects."
  type        = list(string)
  default     = []
}

locals {
  arn = "arn:${data.aws_partition.here.partition}:s3:::${var.name}"
  all_but = {
    for operator, names in {
      ArnNotLike      = { "aws:PrincipalArn" = var.writers }
      StringNotEquals = { "aws:PrincipalServiceName" = [var.writer_service] }
    } : operator => names if(operator == "ArnNotLike") == (var.writer_service == "")
  }
}

data "aws_partition" "here" {}

resource "aws_s3_bucket" "this" {
  bucket              = var.name
  object_lock_enabled = true
  force_destroy       = false

  lifecycle {
    precondition {
      condition     = (var.writer_service == "") != (length(var.writers) == 0)
      error_message = "Give writers, or a writer_service, and not both."
    }
  }
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_object_lock_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    default_retention {
      mode = var.lock_mode
      days = var.lock_days
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid       = "OnlyWithTls"
          Effect    = "Deny"
          Principal = "*"
          Action    = "s3:*"
          Resource  = [local.arn, "${local.arn}/*"]
          Condition = { Bool = { "aws:SecureTransport" = "false" } }
        },
        {
          Sid       = "NobodyEndsALock"
          Effect    = "Deny"
          Principal = "*"
          Action    = "s3:BypassGovernanceRetention"
          Resource  = "${local.arn}/*"
        },
        {
          Sid       = "OnlyNamedWriters"
          Effect    = "Deny"
          Principal = "*"
          Action = [
            "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObjectRetention", "s3:PutObjectLegalHold",
            "s3:ReplicateObject", "s3:ReplicateDelete"
          ]
          Resource  = "${local.arn}/*"
          Condition = local.all_but
        },
      ],
      [for statement in var.more_statements : jsondecode(statement)],
    )
  })

  depends_on = [aws_s3_bucket_public_access_block.this]
}

output "name" {
  value = aws_s3_bucket.this.id
}

output "arn" {
  value = aws_s3_bucket.this.arn
}

output "ready" {
  description = "Known once versioning and policy stand: what depends on it comes after them."
  value       = "${aws_s3_bucket_versioning.this.id}${aws_s3_bucket_policy.this.id}"
}
