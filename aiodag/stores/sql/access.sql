-- The statements of tokens, sessions and audit lines, as every database understands them.

-- :name end_expired_token
update tokens set revoked_at = expires_at where name = ? and revoked_at is null and expires_at <= ?

-- :name any_valid_token
select 1 from tokens where revoked_at is null and (expires_at is null or expires_at > ?) limit 1

-- :name add_token
insert into tokens (name, role, hash, made_at, expires_at) values (?, ?, ?, ?, ?) on conflict do nothing returning token

-- :name tokens_listed
select token, name, role, hash, made_at, expires_at, used_at, revoked_at,
    case when expires_at <= :now and (revoked_at is null or revoked_at >= expires_at) then 'expired'
        when revoked_at is not null then 'revoked' else 'valid' end
from tokens where {condition} order by token

-- :name note_token_used
update tokens set used_at = ? where token = ?

-- :name revoke_token
update tokens set revoked_at = :at where name = :name and revoked_at is null and (expires_at is null or expires_at > :at)
returning hash

-- :name drop_sessions_of_token
delete from sessions where token = ?

-- :name add_session
insert into sessions (hash, token, made_at, expires_at) values (?, ?, ?, ?)

-- :name drop_ended_sessions
delete from sessions where expires_at <= ?

-- :name session_of_hash
select hash, token, made_at, expires_at from sessions where hash = ? and expires_at > ?

-- :name drop_session
delete from sessions where hash = ?

-- :name note_request
insert into audit (at, who, role, what, about, address, details) values (?, ?, ?, ?, ?, ?, ?) returning number

-- :name audit_details
select details from audit where number = ?

-- :name note_answer
update audit set outcome = :outcome, about = coalesce(:about, about), details = :details where number = :number

-- :name audit_listed
select number, at, who, role, what, about, address, details, outcome from audit
where {condition} order by number desc limit :limit

-- :name prune_audit
delete from audit where at < ?
