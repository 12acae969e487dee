-- The service tier that a call was served in, and what the calls took that were served in another than the default one.

ALTER TABLE calls ADD COLUMN service_tier TEXT;

CREATE TABLE tier_totals (
    mode TEXT, step TEXT, model TEXT, tier TEXT, calls INTEGER, input_tokens INTEGER, cached_tokens INTEGER,
    output_tokens INTEGER, started REAL,
    PRIMARY KEY (mode, step, model, tier)
) WITHOUT ROWID;

CREATE TRIGGER tier_added AFTER INSERT ON calls
WHEN NEW.service_tier <> 'default' AND NEW.input_tokens IS NOT NULL AND NEW.output_tokens IS NOT NULL BEGIN
    INSERT INTO tier_totals VALUES (
        NEW.mode, NEW.step, NEW.model, NEW.service_tier, 1, NEW.input_tokens, coalesce(NEW.cached_tokens, 0),
        NEW.output_tokens, NEW.started
    )
    ON CONFLICT (mode, step, model, tier) DO UPDATE SET
        calls = calls + 1, input_tokens = input_tokens + excluded.input_tokens,
        cached_tokens = cached_tokens + excluded.cached_tokens,
        output_tokens = output_tokens + excluded.output_tokens, started = started + excluded.started
; END;

-- The calls with token counts, as they are billed; no tier is the default one.
CREATE VIEW billed AS
SELECT mode, step, model, tier, sum(calls) AS calls, sum(input_tokens) AS input_tokens,
    sum(cached_tokens) AS cached_tokens, sum(output_tokens) AS output_tokens, sum(started) AS started
FROM (
    SELECT mode, step, model, NULL AS tier, calls - uncounted AS calls, input_tokens, cached_tokens, output_tokens, started
    FROM call_totals
    UNION ALL
    SELECT mode, step, model, NULL, - calls, - input_tokens, - cached_tokens, - output_tokens, - started FROM tier_totals
    UNION ALL
    SELECT mode, step, model, tier, calls, input_tokens, cached_tokens, output_tokens, started FROM tier_totals
)
GROUP BY mode, step, model, tier HAVING sum(calls) > 0;
