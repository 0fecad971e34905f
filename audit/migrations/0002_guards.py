"""Functions and triggers of the trail: the row changes, and the chain that links at commit.

Every function fixes its search path, or names things in whole; those that write where the application may not are SECURITY DEFINER.
"""

from django.db import migrations

from audit.operations import WRITTEN_ALIKE, AppendOnly, Guard, NeverDeleted

# The transaction's id, counted on where the database was restored into another server: there ids start low again, and an old
# entry must not vouch for a new change. Beginning such an era is safe to ask for at any time: nothing happens where the server
# itself has given out every id that the trail knows. Whoever still writes is waited for a while, and an era does not begin beside
# them: what they wrote would lie in a part of the reading log that is sealed by then.
ERA = """
CREATE FUNCTION audit_xact() RETURNS bigint LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS
$$ SELECT pg_current_xact_id()::text::bigint + coalesce((SELECT base FROM audit_era ORDER BY id DESC LIMIT 1), 0) $$;

CREATE FUNCTION audit_begin_era() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
  used bigint;
  beyond_mine bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(7244113);
  SELECT greatest((SELECT max(xact) FROM audit_entry), (SELECT max(xact) FROM audit_rowchange),
                  (SELECT max(xact) FROM audit_access), 0) INTO used;
  beyond_mine := pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1 - pg_current_xact_id()::text::bigint;
  IF used <= audit_xact() + greatest(beyond_mine, 0) THEN RETURN false; END IF;
  LOCK TABLE audit_entry, audit_rowchange, audit_access IN SHARE ROW EXCLUSIVE MODE;
  INSERT INTO audit_era (base) VALUES (used);
  RETURN true;
END $$;
REVOKE ALL ON FUNCTION audit_begin_era() FROM PUBLIC;
"""

# What a detail may hold, as `audit/canonical.py` has it: an object of whole numbers that every reader of JSON takes for what they
# are, and no deeper than one reads without trouble. One entry that cannot be read would stop whoever reads the trail in its order.
# What tables hold may have fractions; of that only what no reader of JSON takes is refused.
PLAIN = """
CREATE FUNCTION audit_plain(detail jsonb) RETURNS boolean LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
BEGIN
  RETURN detail = '{}' OR (jsonb_typeof(detail) = 'object'
    AND NOT jsonb_path_exists(detail, 'strict $.**{51}')
    AND NOT jsonb_path_exists(detail, 'strict $.** ? (@ > 9007199254740991 || @ < -9007199254740991)')
    AND strpos(jsonb_path_query_array(detail, 'strict $.** ? (@.type() == "number")')::text, '.') = 0);
END $$;

CREATE FUNCTION audit_readable(became jsonb) RETURNS boolean LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
BEGIN
  RETURN NOT jsonb_path_exists(became, 'strict $.**{52}')
    AND NOT jsonb_path_exists(became, 'strict $.** ? (@ > 1e100 || @ < -1e100)');
END $$;
"""

STAMP = """
CREATE FUNCTION audit_stamp_entry() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NOT audit_plain(NEW.detail) THEN
    RAISE EXCEPTION 'the detail of an entry is an object of whole numbers, 50 deep at most' USING ERRCODE = 'check_violation';
  END IF;
  NEW.at := audit_now();
  NEW.xact := audit_xact();
  RETURN NEW;
END $$;
CREATE TRIGGER stamp BEFORE INSERT ON audit_entry FOR EACH ROW EXECUTE FUNCTION audit_stamp_entry();
ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER stamp;

CREATE FUNCTION audit_stamp_access() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NOT audit_plain(NEW.detail) THEN
    RAISE EXCEPTION 'the detail of a reading is an object of whole numbers, 50 deep at most' USING ERRCODE = 'check_violation';
  END IF;
  NEW.at := audit_now();
  NEW.xact := audit_xact();
  NEW.canonical := convert_to(audit_canonical(jsonb_build_object(
    'id', NEW.id, 'at', audit_time(NEW.at), 'xact', NEW.xact, 'actor', NEW.actor, 'actor_name', NEW.actor_name,
    'actor_role', NEW.actor_role, 'what', NEW.what, 'subject_kind', NEW.subject_kind, 'subject_id', NEW.subject_id,
    'subject_label', NEW.subject_label, 'request_id', NEW.request_id, 'detail', NEW.detail)), 'UTF8');
  IF length(NEW.canonical) > 67108864 THEN
    RAISE EXCEPTION 'a reading of more than 64 MB cannot be kept' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER stamp BEFORE INSERT ON audit_access FOR EACH ROW EXECUTE FUNCTION audit_stamp_access();
ALTER TABLE audit_access ENABLE ALWAYS TRIGGER stamp;
"""

# Arguments: subject kind, column with the subject's id, primary key's column, secret columns and ignored columns, each
# joined by commas. A row that moves from one subject to another is a change of both, and each needs its entry.
# How values are written is no matter of the session: two values must not look alike by a setting. Numbers are compared as they are
# written as well, because for jsonb 5 and 5.000 are equal. Only tables of the portal count: nobody tells a change of a table of their own.
CAPTURE = f"""
CREATE FUNCTION audit_capture() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
{WRITTEN_ALIKE} AS $$
DECLARE
  was jsonb := CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END;
  became jsonb := CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END;
  whole jsonb := coalesce(became, was);
  old_part jsonb;
  new_part jsonb;
  ignored text[] := string_to_array(TG_ARGV[4], ',');
  hidden text;
  subject text;
BEGIN
  IF TG_TABLE_SCHEMA <> 'public' THEN RAISE EXCEPTION '% is no table of the portal', TG_TABLE_NAME; END IF;
  IF TG_OP = 'UPDATE' THEN
    SELECT jsonb_object_agg(e.key, e.value), jsonb_object_agg(e.key, became -> e.key) INTO old_part, new_part
      FROM jsonb_each(was) e
      WHERE (became -> e.key IS DISTINCT FROM e.value
             OR jsonb_typeof(e.value) IN ('number', 'object', 'array') AND (became -> e.key)::text <> e.value::text)
        AND NOT e.key = ANY (ignored);
    IF old_part IS NULL THEN RETURN NULL; END IF;
  ELSE
    old_part := was;
    new_part := became;
  END IF;
  FOREACH hidden IN ARRAY string_to_array(TG_ARGV[3], ',') LOOP
    IF old_part ? hidden THEN old_part := jsonb_set(old_part, ARRAY[hidden], '"[secret]"'); END IF;
    IF new_part ? hidden THEN new_part := jsonb_set(new_part, ARRAY[hidden], '"[secret]"'); END IF;
  END LOOP;
  FOREACH subject IN ARRAY CASE
    WHEN TG_OP <> 'UPDATE' OR was ->> TG_ARGV[1] IS NOT DISTINCT FROM became ->> TG_ARGV[1] THEN ARRAY[whole ->> TG_ARGV[1]]
    ELSE ARRAY[was ->> TG_ARGV[1], became ->> TG_ARGV[1]]
  END LOOP
    INSERT INTO audit_rowchange (at, xact, "table", "row", operation, subject_kind, subject_id, old, new)
    VALUES (audit_now(), audit_xact(), TG_TABLE_NAME, whole ->> TG_ARGV[2], lower(TG_OP), TG_ARGV[0], subject, old_part, new_part);
  END LOOP;
  RETURN NULL;
END $$;
"""  # noqa: S608 our own names

# Read-only: which entries may still be written, and whose rows may change with them. The newest entry of two kinds says whether it
# is so: no row where it is not. The names are whole and no search path is fixed, so that the planner puts this question into the
# one that asks it. First what keeps the portal reachable, watched and closed to whoever must go, each with the tables that it
# changes; then what makes and signs the restore report, for the record and the version that its own entry names. A refusal may
# always be told, and nothing changes with it.
HOLD = """
CREATE FUNCTION audit_held() RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
  SELECT id FROM (SELECT id, action FROM public.audit_entry
    WHERE action IN ('hold.begun', 'hold.ended') ORDER BY id DESC LIMIT 1) newest WHERE action = 'hold.begun'
$$;

CREATE FUNCTION audit_open_while_held(act text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN act = ANY (ARRAY['login.succeeded', 'login.ended', 'access.sealed', 'chain.walked', 'hold.begun', 'hold.ended',
      'restore.reported', 'job.failed', 'job.retried', 'password.reset_asked']) OR act LIKE '%.refused' THEN ARRAY[]::text[]
    WHEN act = ANY (ARRAY['alarm.raised', 'alarm.repeated', 'alarm.acknowledged', 'alarm.cleared', 'alarm.mailed'])
      THEN ARRAY['audit_alarm', 'audit_alarmmail']
    WHEN act = ANY (ARRAY['version.verified', 'version.altered']) THEN ARRAY['records_verification']
    WHEN act = 'user.deactivated' THEN ARRAY['accounts_user']
    WHEN act = ANY (ARRAY['user.suspected', 'code.lost', 'code.reset', 'passkey.withdrawn'])
      THEN ARRAY['accounts_suspicion', 'accounts_codedevice', 'accounts_passkey']
    WHEN act = 'key.registered' THEN ARRAY['signatures_portalkey']
  END
$$;

CREATE FUNCTION audit_of_restore_report(act text, about text) RETURNS boolean LANGUAGE sql STABLE
SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT act = ANY (ARRAY['record.created', 'report.sealed', 'signatures.requested', 'intent.opened', 'signature.applied',
    'version.approved', 'version.rejected', 'version.recalled', 'version.effective', 'step.reassigned']) AND EXISTS (
      SELECT 1 FROM audit_entry WHERE action = 'restore.reported' AND id > (SELECT * FROM audit_held())
        AND detail -> 'subjects' ? about)
$$;

CREATE FUNCTION audit_admits(act text, about text) RETURNS boolean LANGUAGE plpgsql STABLE
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  RETURN NOT EXISTS (SELECT FROM audit_held()) OR audit_open_while_held(act) IS NOT NULL
    OR (act = 'system.migrated' AND session_user = current_user) OR audit_of_restore_report(act, about);
END $$;
"""

# The leaf is canonical JSON, written out member by member in the order of RFC 8785: three times as fast as by way of jsonb.
# At commit: the advisory lock makes one transaction at a time read the head and add to it; it is held until the commit is
# done. A migration's entry, which only the owner of the trail can make count, stands for all its rows.
# Whether a change has its entry is asked as a range of rows, and without reading the table through, so that the planner goes by the
# transaction whatever it thinks of the table's size: never through all entries of a busy subject.
LINK = """
CREATE FUNCTION audit_link() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
  entry bigint;
  change bigint;
  told bytea;
  head record;
BEGIN
  IF TG_TABLE_NAME = 'audit_entry' THEN
    entry := NEW.id;
    told := convert_to(format(
      '{"action":%s,"actor":%s,"actor_name":%s,"actor_role":%s,"at":"%s","detail":%s,"id":%s,"reason":%s,"request_id":%s,'
      '"subject_id":%s,"subject_kind":%s,"subject_label":%s,"xact":%s}',
      to_json(NEW.action), to_json(NEW.actor), to_json(NEW.actor_name), to_json(NEW.actor_role), audit_time(NEW.at),
      audit_canonical(NEW.detail), NEW.id, to_json(NEW.reason), to_json(NEW.request_id), to_json(NEW.subject_id),
      to_json(NEW.subject_kind), to_json(NEW.subject_label), NEW.xact), 'UTF8');
    IF EXISTS (SELECT FROM audit_held()) AND NOT audit_admits(NEW.action, NEW.subject_id) THEN
      RAISE EXCEPTION 'read-only: % is refused until a restore report is signed', NEW.action USING ERRCODE = 'object_in_use';
    END IF;
  ELSE
    change := NEW.id;
    told := convert_to(format(
      '{"at":"%s","id":%s,"new":%s,"old":%s,"operation":%s,"row":%s,"subject_id":%s,"subject_kind":%s,"table":%s,"xact":%s}',
      audit_time(NEW.at), NEW.id, coalesce(audit_canonical(NEW.new), 'null'), coalesce(audit_canonical(NEW.old), 'null'),
      to_json(NEW.operation), to_json(NEW."row"), to_json(NEW.subject_id), to_json(NEW.subject_kind), to_json(NEW."table"),
      NEW.xact), 'UTF8');
    IF NOT audit_readable(NEW.new) THEN
      RAISE EXCEPTION 'row % of % holds JSON that cannot be read everywhere', NEW."row", NEW."table"
        USING ERRCODE = 'check_violation';
    END IF;
    PERFORM FROM audit_entry WHERE (xact, subject_kind, subject_id)
      BETWEEN (NEW.xact, NEW.subject_kind, NEW.subject_id) AND (NEW.xact, NEW.subject_kind, NEW.subject_id)
      AND (NOT EXISTS (SELECT FROM audit_held()) OR NEW."table" = ANY (audit_open_while_held(action))
           OR audit_of_restore_report(action, subject_id)) LIMIT 1;
    IF NOT FOUND AND NOT (session_user = current_user
        AND EXISTS (SELECT FROM audit_entry WHERE xact = NEW.xact AND action = 'system.migrated'))
    THEN
      IF EXISTS (SELECT FROM audit_held()) THEN
        RAISE EXCEPTION 'read-only: % of % (%) is refused until a restore report is signed',
          NEW.operation, NEW."table", NEW."row" USING ERRCODE = 'object_in_use';
      END IF;
      RAISE EXCEPTION 'unrecorded change: % of % (%) has no entry in this transaction that names % %',
        NEW.operation, NEW."table", NEW."row", NEW.subject_kind, NEW.subject_id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
  END IF;
  IF length(told) > 67108864 THEN
    RAISE EXCEPTION 'an entry or a row change of more than 64 MB cannot be kept' USING ERRCODE = 'check_violation';
  END IF;
  PERFORM pg_advisory_xact_lock(7244111);
  SELECT seq, hash INTO head FROM audit_link ORDER BY seq DESC LIMIT 1;
  INSERT INTO audit_link (seq, entry_id, change_id, leaf, hash)
  VALUES (coalesce(head.seq, 0) + 1, entry, change, told, sha256(coalesce(head.hash, ''::bytea) || told));
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION audit_link() FROM PUBLIC;

CREATE CONSTRAINT TRIGGER link AFTER INSERT ON audit_entry DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION audit_link();
ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER link;
CREATE CONSTRAINT TRIGGER link AFTER INSERT ON audit_rowchange DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION audit_link();
ALTER TABLE audit_rowchange ENABLE ALWAYS TRIGGER link;
"""

# Rows about checkpoints are no evidence, but what is due and what the page says goes by them: one that could not have been written
# by the portal is refused. Rows may be missing where a database was restored, but not so many that the numbers come to an end.
# What was looked at for alarms only grows, and nothing is passed over that is not there yet, or that the one who passes wrote.
# When a clock was read is the database's to say. A review covers what it says that it covers, from the moment that it is made.
FITS = """
CREATE FUNCTION audit_checkpoint_fits() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.number - (SELECT coalesce(max(number), 0) FROM audit_checkpoint) NOT BETWEEN 1 AND 1000000
    OR NEW.size > (SELECT coalesce(max(seq), 0) FROM audit_link) OR NEW.at > audit_now() THEN
    RAISE EXCEPTION 'checkpoint % does not follow from what is there', NEW.number USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER fits BEFORE INSERT ON audit_checkpoint FOR EACH ROW EXECUTE FUNCTION audit_checkpoint_fits();
ALTER TABLE audit_checkpoint ENABLE ALWAYS TRIGGER fits;

CREATE FUNCTION audit_watch_grows() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF (TG_OP = 'UPDATE' AND (NEW.seq < OLD.seq OR NEW.name <> OLD.name))
    OR NEW.seq > (SELECT coalesce(max(seq), 0) FROM audit_link)
    OR EXISTS (SELECT FROM audit_link l LEFT JOIN audit_entry e ON e.id = l.entry_id LEFT JOIN audit_rowchange c ON c.id = l.change_id
               WHERE l.seq = NEW.seq AND coalesce(e.xact, c.xact) = audit_xact()) THEN
    RAISE EXCEPTION 'the watch over the trail cannot go to link %', NEW.seq USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER grows BEFORE INSERT OR UPDATE ON audit_watch FOR EACH ROW EXECUTE FUNCTION audit_watch_grows();
ALTER TABLE audit_watch ENABLE ALWAYS TRIGGER grows;

CREATE FUNCTION audit_stamp_reading() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  NEW.at := audit_now();
  RETURN NEW;
END $$;
CREATE TRIGGER stamp BEFORE INSERT ON audit_clockreading FOR EACH ROW EXECUTE FUNCTION audit_stamp_reading();
ALTER TABLE audit_clockreading ENABLE ALWAYS TRIGGER stamp;

CREATE FUNCTION audit_review_covers() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.entries <> (SELECT count(*) FROM audit_reviewed WHERE review_id = NEW.id) THEN
    RAISE EXCEPTION 'review % does not cover as many entries as it says', NEW.report USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER covers AFTER INSERT OR UPDATE ON audit_review DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION audit_review_covers();
ALTER TABLE audit_review ENABLE ALWAYS TRIGGER covers;

CREATE FUNCTION audit_reviewed_fits() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM (SELECT DISTINCT review_id FROM added) a JOIN audit_review r ON r.id = a.review_id
             WHERE r.entries < (SELECT count(*) FROM audit_reviewed WHERE review_id = r.id)
                OR NOT EXISTS (SELECT FROM audit_rowchange WHERE xact = audit_xact() AND "table" = 'audit_review'
                               AND "row" = r.id::text AND operation = 'insert')) THEN
    RAISE EXCEPTION 'a review covers entries from the moment that it is made' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER fits AFTER INSERT ON audit_reviewed REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION audit_reviewed_fits();
ALTER TABLE audit_reviewed ENABLE ALWAYS TRIGGER fits;
"""

# A seal of the reading log goes on where the one before ended, and speaks of nothing that may still be written; its numbers are the
# log's. One transaction at a time seals: two that see the same last seal would both go on from it.
SEAL = """
CREATE FUNCTION audit_seal_fits() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  ended bigint;
  horizon bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(7244112);
  ended := coalesce((SELECT (detail ->> 'until')::bigint FROM audit_entry WHERE action = 'access.sealed' AND CASE
    WHEN detail ->> 'until' ~ '^[0-9]{1,18}$' THEN (detail ->> 'until')::bigint <= xact END ORDER BY id DESC LIMIT 1), 0);
  horizon := audit_xact() - pg_current_xact_id()::text::bigint + pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
  IF current_setting('transaction_isolation') <> 'read committed' OR NOT coalesce(
      NEW.detail ->> 'after' = ended::text AND NEW.detail ->> 'until' ~ '^[1-9][0-9]{0,17}$'
      AND (NEW.detail ->> 'until')::bigint BETWEEN ended AND horizon
      AND NEW.detail ->> 'count' ~ '^[1-9][0-9]{0,17}$' AND jsonb_typeof(NEW.detail -> 'count') = 'number'
      AND NEW.detail ->> 'sha256' ~ '^[0-9a-f]{64}$', false) THEN
    RAISE EXCEPTION 'this seal of the reading log does not go on from the last one' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER seal_fits BEFORE INSERT ON audit_entry FOR EACH ROW WHEN (NEW.action = 'access.sealed')
  EXECUTE FUNCTION audit_seal_fits();
ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER seal_fits;
"""

REFUSE = """
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  RAISE EXCEPTION '% on % is refused: its rows are kept', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [
        migrations.RunSQL(ERA),
        migrations.RunSQL(PLAIN),
        migrations.RunSQL(HOLD),
        migrations.RunSQL(STAMP),
        migrations.RunSQL(CAPTURE),
        migrations.RunSQL(LINK),
        migrations.RunSQL(REFUSE),
        migrations.RunSQL(FITS),
        migrations.RunSQL(SEAL),
        AppendOnly("audit_entry"),
        AppendOnly("audit_rowchange"),
        AppendOnly("audit_link"),
        AppendOnly("audit_access"),
        AppendOnly("audit_checkpoint"),
        AppendOnly("audit_era"),
        Guard("audit_alarm", subject="alarm", key="id"),
        NeverDeleted("audit_alarm"),
        Guard("audit_alarmmail", subject="alarm", key="alarm_id"),
        AppendOnly("audit_alarmmail"),
        AppendOnly("audit_clockreading"),
        NeverDeleted("audit_watch"),
        Guard("audit_reviewfilter", subject="review_filter", key="id"),
        NeverDeleted("audit_reviewfilter"),
        Guard("audit_review", subject="review_filter", key="filter_id"),
        NeverDeleted("audit_review"),
        AppendOnly("audit_reviewed"),
    ]
