"""The clock and the canonical form, which the defaults of every other table ask for."""

from django.db import migrations

# Its names are whole and it fixes no search path, so that the planner puts the clock itself where it is asked for.
CLOCK = """
CREATE FUNCTION audit_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS
$$ SELECT pg_catalog.clock_timestamp() $$;
"""

# RFC 8785 over the part of JSON that entries hold. PostgreSQL's escapes of strings are those of RFC 8785, so that of a scalar its
# own text will do.
CANONICAL = """
CREATE FUNCTION audit_canonical(value jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE SET search_path = public, pg_temp AS $$
BEGIN
  CASE jsonb_typeof(value)
    WHEN 'object' THEN
      IF value = '{}' THEN RETURN '{}'; END IF;
      RETURN (SELECT '{' || coalesce(string_agg(to_json(e.key)::text || ':' ||
                CASE WHEN jsonb_typeof(e.value) IN ('object', 'array') THEN audit_canonical(e.value) ELSE e.value::text END,
                ',' ORDER BY e.key COLLATE "C"), '') || '}' FROM jsonb_each(value) e);
    WHEN 'array' THEN
      RETURN (SELECT '[' || coalesce(string_agg(audit_canonical(e.value), ',' ORDER BY e.ordinality), '') || ']'
              FROM jsonb_array_elements(value) WITH ORDINALITY e);
    ELSE RETURN value::text;
  END CASE;
END $$;

CREATE FUNCTION audit_time(at timestamptz) RETURNS text LANGUAGE sql STABLE AS
$$ SELECT pg_catalog.to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;
"""


class Migration(migrations.Migration):
    dependencies: list[tuple[str, str]] = []
    operations = [migrations.RunSQL(CLOCK), migrations.RunSQL(CANONICAL)]
