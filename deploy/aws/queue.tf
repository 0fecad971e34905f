# A queue in which S3 tells the portal of new log files, where it is wanted. Without it they are found by listing, minutes later.

locals {
  queue_name = "${var.prefix}-new-log-files"
}

resource "aws_sqs_queue" "new_files" {
  count = var.notify_of_files ? 1 : 0

  name                      = local.queue_name
  message_retention_seconds = 4 * 24 * 3600
  sqs_managed_sse_enabled   = true

  redrive_policy = jsonencode({ deadLetterTargetArn = aws_sqs_queue.not_read[0].arn, maxReceiveCount = 5 })
}

resource "aws_sqs_queue" "not_read" {
  count = var.notify_of_files ? 1 : 0

  name                      = "${local.queue_name}-not-read"
  message_retention_seconds = 14 * 24 * 3600
  sqs_managed_sse_enabled   = true
}

# S3 alone may write, for this bucket alone.
resource "aws_sqs_queue_policy" "new_files" {
  count = var.notify_of_files ? 1 : 0

  queue_url = aws_sqs_queue.new_files[0].url

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "S3Tells"
      Effect    = "Allow"
      Principal = { Service = "s3.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.new_files[0].arn
      Condition = {
        ArnEquals    = { "aws:SourceArn" = module.trail_bucket.arn }
        StringEquals = { "aws:SourceAccount" = local.account }
      }
    }]
  })
}

resource "aws_s3_bucket_notification" "new_files" {
  count = var.notify_of_files ? 1 : 0

  bucket = module.trail_bucket.name

  queue {
    queue_arn     = aws_sqs_queue.new_files[0].arn
    events        = ["s3:ObjectCreated:*"]
    filter_suffix = ".json.gz"
  }

  depends_on = [aws_sqs_queue_policy.new_files]
}

resource "aws_iam_role_policy" "hear" {
  count = var.notify_of_files ? 1 : 0

  name = "hear-of-files"
  role = aws_iam_role.portal.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "Hear"
      Effect   = "Allow"
      Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage"]
      Resource = aws_sqs_queue.new_files[0].arn
    }]
  })
}
