# A KMS key that rotates each year and that nobody deletes in a hurry.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.40"
    }
  }
}

variable "alias" {
  description = "Name of the key, without alias/."
  type        = string
}

variable "trail_arn" {
  description = "A trail that encrypts its files with the key; empty where there is none."
  type        = string
  default     = ""
}

data "aws_caller_identity" "here" {}

data "aws_partition" "here" {}

resource "aws_kms_key" "this" {
  description             = "Records, frozen bytes and log files under ${var.alias}"
  enable_key_rotation     = true
  deletion_window_in_days = 30

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "TheAccount"
        Effect    = "Allow"
        Principal = { AWS = "arn:${data.aws_partition.here.partition}:iam::${data.aws_caller_identity.here.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      }],
      var.trail_arn == "" ? [] : [{
        Sid       = "TheTrail"
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = ["kms:GenerateDataKey*", "kms:DescribeKey"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceArn" = var.trail_arn } }
      }],
    )
  })

  lifecycle {
    prevent_destroy = true # what it encrypted cannot be read without it, whatever lock is on it
  }
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.alias}"
  target_key_id = aws_kms_key.this.key_id
}

output "arn" {
  value = aws_kms_key.this.arn
}
