CREATE TABLE "maintenance" (
  "slug" varchar(100) PRIMARY KEY,
  "start_at" timestamptz NOT NULL,
  "end_at" timestamptz NOT NULL
);
