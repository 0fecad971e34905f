# Who reads and writes: the portal, the portal for one person, and the user that writes checkpoints. Nobody gets more than is used.

locals {
  look_at_settings = [
    "s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration", "s3:GetEncryptionConfiguration",
    "s3:GetBucketPublicAccessBlock", "s3:GetBucketOwnershipControls", "s3:GetBucketPolicy",
    "s3:GetReplicationConfiguration", "s3:GetLifecycleConfiguration",
  ]
  list_objects = ["s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketLocation"]
  read_objects = ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectRetention", "s3:GetObjectLegalHold"]
}

resource "aws_iam_role" "portal" {
  name = var.portal_role_name

  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = var.portal_trusted_service }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "portal" {
  name = "portal"
  role = aws_iam_role.portal.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "List"
        Effect   = "Allow"
        Action   = local.list_objects
        Resource = [module.records.arn, module.frozen.arn, module.trail_bucket.arn]
      },
      {
        Sid      = "Read"
        Effect   = "Allow"
        Action   = local.read_objects
        Resource = ["${module.records.arn}/*", "${module.frozen.arn}/*", "${module.trail_bucket.arn}/*"]
      },
      {
        Sid      = "Freeze"
        Effect   = "Allow"
        Action   = ["s3:PutObject", "s3:PutObjectRetention"]
        Resource = "${module.frozen.arn}/*"
      },
      {
        Sid      = "UseTheKey"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey", "kms:GetKeyRotationStatus"]
        Resource = module.key.arn
      },
      {
        Sid      = "LookAtBuckets"
        Effect   = "Allow"
        Action   = local.look_at_settings
        Resource = [module.records.arn, module.frozen.arn, module.trail_bucket.arn]
      },
      {
        Sid      = "LookAtCopies"
        Effect   = "Allow"
        Action   = "s3:GetBucketObjectLockConfiguration"
        Resource = [module.records_copy.arn, module.frozen_copy.arn]
      },
      {
        Sid    = "LookAtTheAccount"
        Effect = "Allow"
        Action = [
          "s3:GetAccountPublicAccessBlock", "cloudtrail:DescribeTrails", "cloudtrail:GetTrailStatus",
          "cloudtrail:GetEventSelectors", "cloudtrail:ListPublicKeys", "iam:GetAccountAuthorizationDetails"
        ]
        Resource = "*" # these know no narrower resource, or are asked for every trail
      },
      {
        Sid      = "ActForAPerson"
        Effect   = "Allow"
        Action   = ["sts:AssumeRole", "sts:SetSourceIdentity"]
        Resource = aws_iam_role.reader.arn
      },
    ]
  })
}

resource "aws_iam_role" "reader" {
  name = var.reader_role_name

  # A session without a source identity would be a role that nobody answers for.
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = local.account }
      Action    = ["sts:AssumeRole", "sts:SetSourceIdentity"]
      Condition = {
        ArnEquals  = { "aws:PrincipalArn" = local.portal_role_arn }
        StringLike = { "sts:SourceIdentity" = "?*" }
      }
    }]
  })
}

resource "aws_iam_role_policy" "reader" {
  name = "read"
  role = aws_iam_role.reader.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "List", Effect = "Allow", Action = local.list_objects, Resource = module.records.arn },
      { Sid = "Read", Effect = "Allow", Action = local.read_objects, Resource = "${module.records.arn}/*" },
      { Sid = "Decrypt", Effect = "Allow", Action = "kms:Decrypt", Resource = module.key.arn },
    ]
  })
}

# Its access key is made by hand: one that Terraform makes would stand in the state file.
resource "aws_iam_user" "anchor" {
  provider = aws.anchors

  name = var.anchor_user_name
}

resource "aws_iam_user_policy" "anchor" {
  provider = aws.anchors

  name = "checkpoints"
  user = aws_iam_user.anchor.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "List"
        Effect   = "Allow"
        Action   = concat(local.list_objects, local.look_at_settings)
        Resource = module.anchors.arn
      },
      {
        Sid      = "WriteAndRead"
        Effect   = "Allow"
        Action   = concat(local.read_objects, ["s3:PutObject", "s3:PutObjectRetention"])
        Resource = "${module.anchors.arn}/checkpoints/*"
      },
      {
        Sid      = "UseTheKey"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey", "kms:GetKeyRotationStatus"]
        Resource = module.anchor_key.arn
      },
      { Sid = "LookAtTheAccount", Effect = "Allow", Action = "s3:GetAccountPublicAccessBlock", Resource = "*" },
    ]
  })
}
