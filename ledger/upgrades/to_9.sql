-- What models thought before they replied.

ALTER TABLE calls ADD COLUMN thoughts TEXT;
