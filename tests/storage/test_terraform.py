"""The Terraform module under `deploy/aws/`, applied to a stand-in: every rule of posture passes on what it made."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cloudtrail import notifications
from standin.principals import OWNER, PORTAL
from standin.process import running
from storage import posture
from storage.models import Bucket, Purpose
from storage.posture import Verdict

MODULE = Path(__file__).resolve().parents[2] / "deploy" / "aws"
PREFIX = "tf-gxp"
NAMES = {Purpose.RECORDS: "records", Purpose.WORM: "countersign", Purpose.TRAIL: "trail", Purpose.ANCHOR: "anchors"}
SERVICES = ("s3", "s3control", "kms", "iam", "sts", "cloudtrail", "sqs")
ROOT = """
{providers}
module "storage" {{
  source              = "{module}"
  providers           = {{ aws = aws, aws.copies = aws.copies, aws.anchors = aws.anchors }}
  prefix              = "{prefix}"
  records_writer_arns = ["arn:aws:iam::111122223333:role/ngs-pipeline"]
  notify_of_files     = true
}}
output "buckets" {{ value = module.storage.buckets }}
output "queue" {{ value = module.storage.settings.CLOUDTRAIL_QUEUE_URL }}
"""
PROVIDER = """
provider "aws" {{
  {alias}
  region                      = "{region}"
  access_key                  = "{key}"
  secret_key                  = "{secret}"
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  endpoints {{
    {endpoints}
  }}
}}
"""


def root(url: str) -> str:
    endpoints = "\n    ".join(f'{service} = "{url}"' for service in SERVICES)
    placed = (("", "eu-central-1"), ('alias = "copies"', "eu-west-1"), ('alias = "anchors"', "eu-central-1"))
    providers = [
        PROVIDER.format(alias=alias, region=region, key=OWNER.access_key, secret=OWNER.secret, endpoints=endpoints)
        for alias, region in placed
    ]
    return ROOT.format(providers="".join(providers), module=MODULE, prefix=PREFIX)


def terraform(folder: Path, url: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Terraform. S3 Control puts the account in front of the host, which no resolver knows of 127.0.0.1: it goes by proxy."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_CLI_CONFIG_FILE"}
    environment |= {
        "HTTP_PROXY": url,
        "NO_PROXY": "registry.terraform.io",
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
    }
    return subprocess.run(
        ["terraform", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )


@pytest.mark.long
@pytest.mark.compliance("R6", "11.10(c)")
def test_compliance_what_the_terraform_module_makes_passes_every_rule(tmp_path, settings):
    if shutil.which("terraform") is None:
        pytest.skip("Terraform is not installed here: the module under deploy/aws was not applied.")
    with running(trail_every=0) as standin:
        (tmp_path / "main.tf").write_text(root(standin.url))
        plugins = os.environ.get("TERRAFORM_PLUGIN_DIR", "")
        ready = terraform(tmp_path, standin.url, "init", "-no-color", *([f"-plugin-dir={plugins}"] if plugins else []))
        if ready.returncode:
            pytest.skip(
                f"Terraform's AWS provider is not to be had here: the module was not applied. {ready.stderr[:300]}"
            )
        applied = terraform(tmp_path, standin.url, "apply", "-no-color", "-auto-approve", "-input=false")
        assert applied.returncode == 0, applied.stdout[-3000:] + applied.stderr
        settings.S3_ENDPOINT_URL = settings.AWS_ENDPOINT_URL = settings.ANCHOR_ENDPOINT_URL = standin.url
        settings.S3_ACCESS_KEY_ID, settings.S3_SECRET_ACCESS_KEY = PORTAL.access_key, PORTAL.secret
        settings.ANCHOR_ACCESS_KEY_ID, settings.ANCHOR_SECRET_ACCESS_KEY = PORTAL.access_key, PORTAL.secret
        for purpose, name in NAMES.items():
            found = posture.read(Bucket(name=f"{PREFIX}-{name}", purpose=purpose), {})
            poor = {one.rule: (one.found, one.said) for one in found if one.verdict != Verdict.PASSES}
            assert poor == {}, name
        settings.CLOUDTRAIL_QUEUE_URL = terraform(tmp_path, standin.url, "output", "-raw", "queue").stdout
        (told,) = notifications._receive()
        assert '"s3:TestEvent"' in told["Body"], "S3 has tried the queue"
        assert notifications.places(told["Body"]) == []


@pytest.mark.long
def test_the_module_is_formatted_as_terraform_does_it():
    if shutil.which("terraform") is None:
        pytest.skip("Terraform is not installed here: the module's format was not checked.")
    checked = subprocess.run(["terraform", "fmt", "-check", "-recursive", str(MODULE)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
