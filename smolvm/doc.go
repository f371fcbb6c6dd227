// Package smolvm is a typed client of the smolvm command line, from 0.8.0 to the newest release.
//
// It runs the program and nothing else. No daemon is left behind: where only smolvm's HTTP API can make what is asked for, Create starts a
// server on a private socket and ends it in the same call. One method stands for one subcommand, under smolvm's own name. What differs
// between releases is looked up in one table by the version that the program tells; a release newer than the table is taken for the newest
// in it.
//
//	c := &smolvm.Client{}
//	err := c.Create(ctx, "demo", smolvm.CreateOptions{
//		Network: smolvm.Network{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("10.77.0.2/32")}},
//	})
//	err = c.Start(ctx, "demo")
//	res, err := c.Exec(ctx, "demo", smolvm.Command{Argv: []string{"uname", "-a"}})
//
// # What it refuses
//
// Malformed arguments (ErrInvalid), options that the release would drop without a word (ErrUnsupported) and egress policies that it
// would not enforce (ErrPolicy) never reach smolvm. It never passes a guest command through a shell on the host, never prompts, never parses
// a table meant for people, and never says that a policy holds: smolvm cannot be asked, so the guest has to be probed.
//
// # Errors
//
// A smolvm that failed is an *Error, and errors.Is tells the sentinels apart. A guest command that failed is no error but a Result: a
// wrapper in the guest reports its exit code with a nonce, because smolvm uses exit code 1 for its own failures too. A call that ran out
// of time satisfies errors.Is(err, context.DeadlineExceeded); smolvm is interrupted then, and killed after Client.Grace.
//
// # Turns
//
// What clashes in a release is kept apart, also between processes of one user, by locks in the user's cache directory: starts below 1.2.5,
// and below 1.4.1 commands in one machine, unless this Client created it without an image. From 1.4.1 on one command makes an
// image machine's container before others may join it. Of one Client, six commands run in one machine at once. A call that met a locked
// database is repeated, five times in all; Logf and Result.Retries tell.
//
// # Environment
//
// smolvm gets HOME, PATH, TMPDIR, USER, LOGNAME, LANG, LC_*, XDG_*, SSL_CERT_FILE, SSL_CERT_DIR and DOCKER_CONFIG of this process,
// RUST_LOG=smolvm=error, on start the variables that pin the egress floor, and then Client.Env. All other SMOLVM_* stay out, since some of them
// change what a policy lets through. Standard input is /dev/null.
package smolvm
