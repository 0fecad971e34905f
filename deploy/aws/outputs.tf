output "settings" {
  description = "What the portal is told: environment variables."
  value = {
    WORM_BUCKET          = module.frozen.name
    ANCHOR_BUCKET        = module.anchors.name
    S3_PERSON_ROLE_ARN   = aws_iam_role.reader.arn
    S3_REGION            = data.aws_region.here.name
    CLOUDTRAIL_QUEUE_URL = var.notify_of_files ? aws_sqs_queue.new_files[0].url : ""
  }
}

output "buckets" {
  description = "What is registered in the portal, by purpose."
  value = {
    records = module.records.name
    worm    = module.frozen.name
    trail   = module.trail_bucket.name
    anchor  = module.anchors.name
  }
}

output "portal_role_arn" {
  value = aws_iam_role.portal.arn
}

output "trail_arn" {
  value = aws_cloudtrail.this.arn
}
