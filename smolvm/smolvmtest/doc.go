// Package smolvmtest is a scripted smolvm for tests of code that runs smolvm.Client.
//
// The fake is the test binary itself under another name: New links it as "smolvm" into a temporary directory with the script beside it, and
// Main, called from TestMain, plays the script in a process that was started by that name. No variable marks such a process, so
// none can leak into one.
//
//	func TestMain(m *testing.M) { smolvmtest.Main(m) }
//
//	func TestHello(t *testing.T) {
//		fake := smolvmtest.New(t,
//			smolvmtest.Version("1.9.3"),
//			smolvmtest.Reply{Command: []string{"echo"}, Guest: &smolvmtest.Guest{Stdout: "hello\n"}},
//		)
//		client := &smolvm.Client{Path: fake.Path}
//		...
//	}
//
// A call that nobody scripted exits 99 and fails the test, and so does a reply that nobody asked for. Calls may come from several processes at
// once.
package smolvmtest
