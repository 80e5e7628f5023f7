package db

import "context"

// LosesCommits says in a sentence why a commit that this database reported can be lost, as far as it can be told from here; "" when
// nothing is known against it. On SQLite it is always "": what is committed is on this machine's disk.
// https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-SYNCHRONOUS-COMMIT
func (u *Upkeep) LosesCommits(ctx context.Context) (why string, err error) {
	if u.pool.Dialect != DialectPostgres {
		return "", nil
	}
	var seen struct {
		Commit, Names string
		Standbys      int // streaming; others than superusers see that they are there, and nothing else of them
	}
	err = u.pool.Read.WithContext(ctx).Raw(`SELECT current_setting('synchronous_commit') AS commit,
		current_setting('synchronous_standby_names') AS names, (SELECT count(*) FROM pg_stat_replication) AS standbys`).Scan(&seen).Error
	switch {
	case err != nil:
		return "", Fault(ctx, "look how commits are kept", err)
	case seen.Commit == "off":
		return "synchronous_commit is off: a crash of the database loses the last commits", nil
	case seen.Standbys > 0 && (seen.Names == "" || seen.Commit == "local"):
		return "its standby is asynchronous: a failover can lose the last commits", nil
	}
	return "", nil
}
