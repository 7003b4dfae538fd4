ALTER TABLE "item" ADD COLUMN "promised" integer;
