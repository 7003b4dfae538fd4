ALTER TABLE "item" ADD COLUMN "never" integer;--> statement-breakpoint
SELECT pg_sleep(3600);
