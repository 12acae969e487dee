-- How far prompts were shortened.

ALTER TABLE calls ADD COLUMN shortened_to INTEGER;
