terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.40"
      # copies: another region; anchors: another account, best one that nobody of this one administers.
      configuration_aliases = [aws.copies, aws.anchors]
    }
  }
}
