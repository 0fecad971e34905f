# Buckets, keys and trail that pass every rule of the portal's storage posture. See README.md.

data "aws_caller_identity" "here" {}

data "aws_partition" "here" {}

data "aws_region" "here" {}

locals {
  partition       = data.aws_partition.here.partition
  account         = data.aws_caller_identity.here.account_id
  portal_role_arn = "arn:${local.partition}:iam::${local.account}:role/${var.portal_role_name}"
  copier_role_arn = "arn:${local.partition}:iam::${local.account}:role/${var.prefix}-copier"
  trail_arn       = "arn:${local.partition}:cloudtrail:${data.aws_region.here.name}:${local.account}:trail/${var.trail_name}"
  names = {
    records      = "${var.prefix}-records"
    frozen       = "${var.prefix}-countersign"
    trail        = "${var.prefix}-trail"
    anchors      = "${var.prefix}-anchors"
    records_copy = "${var.prefix}-records-copy"
    frozen_copy  = "${var.prefix}-countersign-copy"
  }
}

resource "aws_s3_account_public_access_block" "here" {
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_account_public_access_block" "anchors" {
  provider = aws.anchors

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

module "key" {
  source = "./rotating-key"

  alias     = "${var.prefix}-records"
  trail_arn = local.trail_arn
}

module "copy_key" {
  source    = "./rotating-key"
  providers = { aws = aws.copies }

  alias = "${var.prefix}-copies"
}

module "anchor_key" {
  source    = "./rotating-key"
  providers = { aws = aws.anchors }

  alias = "${var.prefix}-anchors"
}

# Records: written by pipelines, read by the portal -------------------------------------------------------------------

module "records" {
  source = "./kept-bucket"

  name        = local.names.records
  kms_key_arn = module.key.arn
  lock_mode   = var.lock_mode
  lock_days   = var.retention_days
  writers     = var.records_writer_arns
}

# Frozen bytes (WORM_BUCKET): written by the portal alone -------------------------------------------------------------

module "frozen" {
  source = "./kept-bucket"

  name        = local.names.frozen
  kms_key_arn = module.key.arn
  lock_mode   = var.lock_mode
  lock_days   = var.retention_days
  writers     = [local.portal_role_arn]
}

# Checkpoints of the audit trail (ANCHOR_BUCKET): another account, a user of its own ---------------------------------

data "aws_caller_identity" "anchors" {
  provider = aws.anchors
}

module "anchors" {
  source    = "./kept-bucket"
  providers = { aws = aws.anchors }

  name        = local.names.anchors
  kms_key_arn = module.anchor_key.arn
  lock_mode   = var.lock_mode
  lock_days   = var.retention_days
  writers     = ["arn:${local.partition}:iam::${data.aws_caller_identity.anchors.account_id}:user/${var.anchor_user_name}"]
}

# Copies in another region, under the same lock ------------------------------------------------------------------------

module "records_copy" {
  source    = "./kept-bucket"
  providers = { aws = aws.copies }

  name        = local.names.records_copy
  kms_key_arn = module.copy_key.arn
  lock_mode   = var.lock_mode
  lock_days   = var.retention_days
  writers     = [local.copier_role_arn]
}

module "frozen_copy" {
  source    = "./kept-bucket"
  providers = { aws = aws.copies }

  name        = local.names.frozen_copy
  kms_key_arn = module.copy_key.arn
  lock_mode   = var.lock_mode
  lock_days   = var.retention_days
  writers     = [local.copier_role_arn]
}

resource "aws_iam_role" "copier" {
  name = "${var.prefix}-copier"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "s3.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "copier" {
  name = "copy"
  role = aws_iam_role.copier.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
        Resource = [module.records.arn, module.frozen.arn]
      },
      {
        Effect = "Allow"
        Action = [
          "s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging", "s3:GetObjectRetention",
          "s3:GetObjectLegalHold"
        ]
        Resource = ["${module.records.arn}/*", "${module.frozen.arn}/*"]
      },
      {
        Effect   = "Allow"
        Action   = ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"]
        Resource = ["${module.records_copy.arn}/*", "${module.frozen_copy.arn}/*"]
      },
      { Effect = "Allow", Action = "kms:Decrypt", Resource = module.key.arn },
      { Effect = "Allow", Action = "kms:Encrypt", Resource = module.copy_key.arn },
    ]
  })
}

resource "aws_s3_bucket_replication_configuration" "copies" {
  for_each = {
    records = { from = module.records, to = module.records_copy }
    frozen  = { from = module.frozen, to = module.frozen_copy }
  }

  bucket = each.value.from.name
  role   = aws_iam_role.copier.arn

  rule {
    id       = "everything"
    status   = "Enabled"
    priority = 1

    filter {}

    delete_marker_replication {
      status = "Enabled"
    }

    source_selection_criteria {
      sse_kms_encrypted_objects {
        status = "Enabled"
      }
    }

    destination {
      bucket        = each.value.to.arn
      storage_class = "STANDARD_IA"

      encryption_configuration {
        replica_kms_key_id = module.copy_key.arn
      }
    }
  }

  depends_on = [module.records, module.frozen, module.records_copy, module.frozen_copy]
}
