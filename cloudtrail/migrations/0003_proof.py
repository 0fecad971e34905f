"""The rules that keep digests, public keys, and what they prove."""

from django.db import migrations

from audit.operations import AppendOnly, NeverDeleted

KEEP = """
CREATE FUNCTION cloudtrail_keep_digest() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF (OLD.id, OLD.trail_id, OLD.bucket, OLD.key, OLD.s3_version, OLD.etag, OLD.region, OLD.aws_name, OLD.home_region,
      OLD.backfill, OLD.starts_at, OLD.ends_at, OLD.data, OLD.sha256_raw, OLD.sha256_content, OLD.metadata, OLD.fingerprint,
      OLD.seen_at)
     IS DISTINCT FROM
     (NEW.id, NEW.trail_id, NEW.bucket, NEW.key, NEW.s3_version, NEW.etag, NEW.region, NEW.aws_name, NEW.home_region,
      NEW.backfill, NEW.starts_at, NEW.ends_at, NEW.data, NEW.sha256_raw, NEW.sha256_content, NEW.metadata, NEW.fingerprint,
      NEW.seen_at) THEN
    RAISE EXCEPTION 'digest % is kept as it is: only what it is worth may be told better', OLD.id
      USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER keep BEFORE UPDATE ON cloudtrail_digestfile FOR EACH ROW EXECUTE FUNCTION cloudtrail_keep_digest();
ALTER TABLE cloudtrail_digestfile ENABLE ALWAYS TRIGGER keep;

CREATE FUNCTION cloudtrail_keep_proof() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF OLD.file_id IS DISTINCT FROM NEW.file_id OR OLD.state IN ('valid', 'mismatch') THEN
    RAISE EXCEPTION 'the proof of log file % is kept as it is', OLD.file_id USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER keep BEFORE UPDATE ON cloudtrail_proof FOR EACH ROW EXECUTE FUNCTION cloudtrail_keep_proof();
ALTER TABLE cloudtrail_proof ENABLE ALWAYS TRIGGER keep;
"""


class Migration(migrations.Migration):
    dependencies = [("cloudtrail", "0002_events")]
    operations = [
        migrations.RunSQL(
            KEEP,
            "DROP TRIGGER keep ON cloudtrail_digestfile; DROP TRIGGER keep ON cloudtrail_proof;"
            "DROP FUNCTION cloudtrail_keep_digest(); DROP FUNCTION cloudtrail_keep_proof();",
        ),
        NeverDeleted("cloudtrail_digestfile"),
        NeverDeleted("cloudtrail_proof"),
        AppendOnly("cloudtrail_digestline"),
        AppendOnly("cloudtrail_publickey"),
        NeverDeleted("cloudtrail_objectversion"),
    ]
