variable "prefix" {
  description = "How the names of the buckets begin; they are unique in all of AWS."
  type        = string
}

variable "lock_mode" {
  description = "Object Lock by default: COMPLIANCE, or GOVERNANCE while you try it out. A compliance lock cannot be taken back."
  type        = string
  default     = "COMPLIANCE"

  validation {
    condition     = contains(["COMPLIANCE", "GOVERNANCE"], var.lock_mode)
    error_message = "lock_mode is COMPLIANCE or GOVERNANCE."
  }
}

variable "retention_days" {
  description = "Days for which a version is locked by default: your retention time (DOCUMENT_RETENTION_YEARS, ANCHOR_RETENTION_YEARS) at 366 days a year."
  type        = number
  default     = 3660
}

variable "records_writer_arns" {
  description = "Roles of the pipelines that put records into the record bucket. The portal only reads there."
  type        = list(string)

  validation {
    condition     = length(var.records_writer_arns) > 0 && alltrue([for arn in var.records_writer_arns : can(regex(":role/", arn))])
    error_message = "Name at least one role, and only roles: people do not write records by hand."
  }
}

variable "portal_role_name" {
  description = "Role in which the portal runs."
  type        = string
  default     = "countersign-portal"
}

variable "portal_trusted_service" {
  description = "The service that may take on the portal's role: ecs-tasks.amazonaws.com, ec2.amazonaws.com."
  type        = string
  default     = "ecs-tasks.amazonaws.com"
}

variable "reader_role_name" {
  description = "Role that the portal takes on for each person (S3_PERSON_ROLE_ARN), so that CloudTrail names the person."
  type        = string
  default     = "countersign-reader"
}

variable "anchor_user_name" {
  description = "User in the anchors' account whose access key the portal uses for checkpoints and nothing else."
  type        = string
  default     = "countersign-anchor"
}

variable "trail_name" {
  description = "Name of the trail."
  type        = string
  default     = "gxp-events"
}

variable "notify_of_files" {
  description = "Let S3 tell the portal of new log files through a queue of SQS (CLOUDTRAIL_QUEUE_URL)."
  type        = bool
  default     = false
}
