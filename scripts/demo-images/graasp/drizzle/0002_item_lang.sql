ALTER TABLE "item" ADD COLUMN "lang" varchar(5);--> statement-breakpoint
UPDATE "item" SET "lang" = 'en';--> statement-breakpoint
ALTER TABLE "item" ALTER COLUMN "lang" SET DEFAULT 'en';--> statement-breakpoint
ALTER TABLE "item" ALTER COLUMN "lang" SET NOT NULL;
