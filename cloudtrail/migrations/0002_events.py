"""The table of events, partitioned by month of the event's time, and the rules that keep what files told.

Two indexes: on the object, by a hash of its key (keys are long and repeated; the key itself is compared as well), or where
only a prefix is named by a hash of its folder; and on the time, by which files, duplicates and evidence are found. The
application's role owns no table, so a SECURITY DEFINER function makes its partitions. Events of odd times (before CloudTrail
was there, or in the future) go to the default partition, and stay there. Another such function drops a month, in the one
transaction that says in which locked file it is kept, and only if the file has as many rows.
"""

from django.db import migrations

from audit.operations import AppendOnly, Guard, NeverDeleted

TABLE = """
CREATE TABLE cloudtrail_event (
  time timestamptz NOT NULL,
  file_id bigint NOT NULL,
  actor_id bigint NOT NULL,
  bytes_in bigint NOT NULL,
  bytes_out bigint NOT NULL,
  ordinal integer NOT NULL,
  read_only boolean NOT NULL,
  data boolean NOT NULL,
  presigned boolean NOT NULL,
  reach text COLLATE "C" NOT NULL,
  event_id text COLLATE "C" NOT NULL,
  event_source text COLLATE "C" NOT NULL,
  event_name text COLLATE "C" NOT NULL,
  region text COLLATE "C" NOT NULL,
  account text COLLATE "C" NOT NULL,
  source_ip text COLLATE "C" NOT NULL,
  request_id text COLLATE "C" NOT NULL,
  error_code text COLLATE "C" NOT NULL,
  bucket text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  s3_version text COLLATE "C" NOT NULL,
  target text COLLATE "C" NOT NULL,
  corrects text COLLATE "C" NOT NULL
) PARTITION BY RANGE (time);
CREATE INDEX cloudtrail_event_object ON cloudtrail_event (
  bucket, hashtextextended(CASE reach WHEN 'p' THEN coalesce(substring(key from '^.*/'), '') ELSE key END, 0), time
) WHERE reach <> '';
CREATE TABLE cloudtrail_touch (
  time timestamptz NOT NULL,
  file_id bigint NOT NULL,
  ordinal integer NOT NULL,
  reach text COLLATE "C" NOT NULL,
  bucket text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  s3_version text COLLATE "C" NOT NULL
) PARTITION BY RANGE (time);
CREATE INDEX cloudtrail_touch_object ON cloudtrail_touch (
  bucket, hashtextextended(CASE reach WHEN 'p' THEN coalesce(substring(key from '^.*/'), '') ELSE key END, 0), time);
CREATE INDEX cloudtrail_event_time ON cloudtrail_event (time);
CREATE TABLE cloudtrail_event_default PARTITION OF cloudtrail_event DEFAULT;
CREATE TABLE cloudtrail_touch_default PARTITION OF cloudtrail_touch DEFAULT;
"""

PARTITION = """
CREATE FUNCTION cloudtrail_make_partition(day date) RETURNS boolean LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  first date := date_trunc('month', day::timestamp)::date;
  next date := (date_trunc('month', day::timestamp) + interval '1 month')::date;
  name text := 'cloudtrail_event_' || to_char(first, 'YYYY_MM');
  touched text := 'cloudtrail_touch_' || to_char(first, 'YYYY_MM');
BEGIN
  IF first < '2013-11-01' OR first > audit_now() + interval '62 days' OR to_regclass(quote_ident(name)) IS NOT NULL THEN
    RETURN false;
  END IF;
  PERFORM pg_advisory_xact_lock(7244119);
  IF to_regclass(quote_ident(name)) IS NOT NULL
     OR EXISTS (SELECT 1 FROM cloudtrail_event_default WHERE time >= first AND time < next) THEN
    RETURN false;
  END IF;
  EXECUTE format('CREATE TABLE %I PARTITION OF cloudtrail_event FOR VALUES FROM (%L) TO (%L)', name,
                 first::timestamptz, next::timestamptz);
  EXECUTE format('CREATE TABLE %I PARTITION OF cloudtrail_touch FOR VALUES FROM (%L) TO (%L)', touched,
                 first::timestamptz, next::timestamptz);
  RETURN true;
END $$;
"""

ARCHIVE = """
CREATE FUNCTION cloudtrail_drop_archived(archived uuid) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '10s' AS $$
DECLARE
  kept record;
  events text;
  touches text;
  counted bigint;
BEGIN
  SELECT *, xmin::text::bigint AS made_in INTO kept FROM cloudtrail_archivedmonth WHERE id = archived;
  IF kept IS NULL OR kept.made_in <> pg_current_xact_id()::text::bigint % 4294967296 THEN
    RAISE EXCEPTION 'a month leaves in the transaction that says where it is kept' USING ERRCODE = 'restrict_violation';
  END IF;
  IF kept.month <> date_trunc('month', kept.month)::date OR kept.month + interval '2 months' > audit_now() THEN
    RAISE EXCEPTION 'the month % is not closed', kept.month USING ERRCODE = 'restrict_violation';
  END IF;
  events := 'cloudtrail_event_' || to_char(kept.month, 'YYYY_MM');
  touches := 'cloudtrail_touch_' || to_char(kept.month, 'YYYY_MM');
  PERFORM pg_advisory_xact_lock(7244119);
  LOCK TABLE cloudtrail_event, cloudtrail_touch IN ACCESS EXCLUSIVE MODE;
  EXECUTE format('SELECT count(*) FROM %I', events) INTO counted;
  IF counted <> kept.events THEN
    RAISE EXCEPTION 'the month % has % events, its archive %', kept.month, counted, kept.events
      USING ERRCODE = 'restrict_violation';
  END IF;
  EXECUTE format('SELECT count(*) FROM %I', touches) INTO counted;
  IF counted <> kept.touches THEN
    RAISE EXCEPTION 'the month % has % further touches, its archive %', kept.month, counted, kept.touches
      USING ERRCODE = 'restrict_violation';
  END IF;
  EXECUTE format('ALTER TABLE cloudtrail_event DETACH PARTITION %I', events);
  EXECUTE format('ALTER TABLE cloudtrail_touch DETACH PARTITION %I', touches);
  EXECUTE format('DROP TABLE %I', events);
  EXECUTE format('DROP TABLE %I', touches);
END $$;
"""

KEEP = """
CREATE FUNCTION cloudtrail_keep_file() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF OLD.state = 'stored' OR (OLD.id, OLD.trail_id, OLD.bucket, OLD.key, OLD.s3_version, OLD.etag, OLD.size, OLD.seen_at)
     IS DISTINCT FROM (NEW.id, NEW.trail_id, NEW.bucket, NEW.key, NEW.s3_version, NEW.etag, NEW.size, NEW.seen_at) THEN
    RAISE EXCEPTION 'log file % is kept as it is: what was stored, and which object it was, never changes', OLD.id
      USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER keep BEFORE UPDATE ON cloudtrail_logfile FOR EACH ROW EXECUTE FUNCTION cloudtrail_keep_file();
ALTER TABLE cloudtrail_logfile ENABLE ALWAYS TRIGGER keep;

CREATE FUNCTION cloudtrail_keep_actor() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF (OLD.id, OLD.fingerprint, OLD.identity, OLD.access_key, OLD.account, OLD.inside_id)
     IS DISTINCT FROM (NEW.id, NEW.fingerprint, NEW.identity, NEW.access_key, NEW.account, NEW.inside_id) THEN
    RAISE EXCEPTION 'actor % is kept as it is: only who is behind it may be told better', OLD.id
      USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER keep BEFORE UPDATE ON cloudtrail_actor FOR EACH ROW EXECUTE FUNCTION cloudtrail_keep_actor();
ALTER TABLE cloudtrail_actor ENABLE ALWAYS TRIGGER keep;
"""


class Migration(migrations.Migration):
    dependencies = [("cloudtrail", "0001_initial"), ("audit", "0002_guards")]
    operations = [
        migrations.RunSQL(
            TABLE,
            "DROP TABLE cloudtrail_event; DROP TABLE cloudtrail_touch;",
        ),
        migrations.RunSQL(PARTITION, "DROP FUNCTION cloudtrail_make_partition(date);"),
        migrations.RunSQL(ARCHIVE, "DROP FUNCTION cloudtrail_drop_archived(uuid);"),
        migrations.RunSQL(
            KEEP,
            "DROP TRIGGER keep ON cloudtrail_logfile; DROP TRIGGER keep ON cloudtrail_actor;"
            "DROP FUNCTION cloudtrail_keep_file(); DROP FUNCTION cloudtrail_keep_actor();",
        ),
        Guard("cloudtrail_trail", subject="trail", key="id"),
        NeverDeleted("cloudtrail_trail"),
        Guard("cloudtrail_directoryentry", subject="directory_entry", key="id"),
        NeverDeleted("cloudtrail_directoryentry"),
        NeverDeleted("cloudtrail_logfile"),
        NeverDeleted("cloudtrail_actor"),
        AppendOnly("cloudtrail_handedover"),
        AppendOnly("cloudtrail_credential"),
        AppendOnly("cloudtrail_event"),
        AppendOnly("cloudtrail_touch"),
        Guard("cloudtrail_archivedmonth", subject="archived_month", key="id"),
        AppendOnly("cloudtrail_archivedmonth"),
    ]
