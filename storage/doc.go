// Package storage keeps connections and install attempts in PostgreSQL or SQLite, through GORM. It implements what
// package install asks for (install.Store) and imports it for its types alone. Secrets are sealed before they reach the
// database and opened after they leave it, here and nowhere else.
//
//	keys, err := seal.ParseKeys(os.Getenv("KEYS"))
//	db, err := storage.Open(ctx, "postgres://bot@db.internal/bot", keys)
//	defer db.Close()
//	err = db.UseJournal("data/journal") // this machine's own disk, for tokens until they are stored
//	applied, err := db.Migrate(ctx)
//	in, err := install.New(install.Config{Store: db, SigningKeys: db.SigningKeys(), …})
//	waiting, err := db.Inbox(ctx, inbox.Config{}) // events, for bot.Config
//	kept := db.Values()                           // and what bots remember
//
// SQLite belongs to one process on one machine, PostgreSQL to any number of replicas.
package storage
