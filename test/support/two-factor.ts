import type { Sql } from 'postgres'

/** What the two-factor plugin needs, in a database that our migrations made. The role of the gateways owns it all. */
export async function twoFactorTables(sql: Sql): Promise<void> {
  await sql.unsafe(`
    alter table auth."user" add column two_factor_enabled boolean default false;
    create table auth.two_factor (
      id text primary key, secret text not null, backup_codes text not null,
      user_id text not null references auth."user" (id) on delete cascade,
      verified boolean default true, failed_verification_count integer default 0, locked_until timestamptz);
    create index on auth.two_factor (secret);
    create index on auth.two_factor (user_id);
    grant all on auth.two_factor to gateway`)
}
