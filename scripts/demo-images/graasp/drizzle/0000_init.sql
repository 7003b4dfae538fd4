CREATE EXTENSION IF NOT EXISTS "uuid-ossp";--> statement-breakpoint
CREATE EXTENSION IF NOT EXISTS "ltree";--> statement-breakpoint
CREATE TABLE "item" (
  "id" uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
  "name" varchar(500) NOT NULL,
  "created_at" timestamptz NOT NULL DEFAULT now()
);
