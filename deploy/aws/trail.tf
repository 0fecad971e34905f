# The trail: every region, every object event but those of its own bucket, digests that prove its files.

module "trail_bucket" {
  source = "./kept-bucket"

  name           = local.names.trail
  kms_key_arn    = module.key.arn
  lock_mode      = var.lock_mode
  lock_days      = var.retention_days
  writer_service = "cloudtrail.amazonaws.com"

  more_statements = [
    jsonencode({
      Sid       = "TrailLooks"
      Effect    = "Allow"
      Principal = { Service = "cloudtrail.amazonaws.com" }
      Action    = "s3:GetBucketAcl"
      Resource  = "arn:${local.partition}:s3:::${local.names.trail}"
      Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn } }
    }),
    jsonencode({
      Sid       = "TrailDelivers"
      Effect    = "Allow"
      Principal = { Service = "cloudtrail.amazonaws.com" }
      Action    = "s3:PutObject"
      Resource  = "arn:${local.partition}:s3:::${local.names.trail}/AWSLogs/${local.account}/*"
      Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn, "s3:x-amz-acl" = "bucket-owner-full-control" } }
    }),
  ]
}

resource "aws_cloudtrail" "this" {
  name                          = var.trail_name
  s3_bucket_name                = module.trail_bucket.name
  kms_key_id                    = module.key.arn
  is_multi_region_trail         = true
  include_global_service_events = true
  enable_log_file_validation    = true
  enable_logging                = true

  advanced_event_selector {
    name = "What is done to settings, keys and roles"

    field_selector {
      field  = "eventCategory"
      equals = ["Management"]
    }
  }

  advanced_event_selector {
    name = "What is done to objects, the trail's own files left out"

    field_selector {
      field  = "eventCategory"
      equals = ["Data"]
    }

    field_selector {
      field  = "resources.type"
      equals = ["AWS::S3::Object"]
    }

    field_selector {
      field           = "resources.ARN"
      not_starts_with = ["${module.trail_bucket.arn}/"]
    }
  }

  depends_on = [module.trail_bucket]
}
