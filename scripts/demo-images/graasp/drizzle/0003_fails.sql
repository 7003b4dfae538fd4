UPDATE "item" SET "name" = 'damaged by a failed migration';--> statement-breakpoint
ALTER TABLE "no_such_table" ADD COLUMN "x" integer;
