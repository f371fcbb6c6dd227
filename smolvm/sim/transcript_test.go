//go:build linux

package sim

import (
	"strings"
	"testing"
)

// grammarLines need no running machine. NAME is "m" or "--name m" as the release wants it where it changed.
var grammarLines = []string{
	"--version", "-V", "", "nonsense", "--nonsense", "pack create", "pack nonsense", "serve", "serve nonsense", "serve start --nonsense",
	"machine", "machine nonsense", "vm run", "machine shell",
	"machine ls", "machine ls --json", "machine list", "machine ls extra",
	"machine create NAME --cpus 2 --mem 512 -e A=1 -w /tmp",
	"machine create NAME",
	"machine create m", "machine create --name n", "machine create -n n2",
	"machine create OTHER --image alpine", "machine create OTHER --image ./x.tar", "machine create OTHER --image",
	"machine create OTHER --from x.smolmachine", "machine create --from a --image b", "machine create -v /a:/b", "machine create -v /:/",
	"pack", "pack create -o x", "pack create -o x.smolmachine --image a", "pack create -o x --image a --from-vm m",
	"pack create -o x --image ./x.tar", "pack create -o x --from-vm nobody", "pack run -- true", "pack run --sidecar nothing -- true",
	"pack inspect ./x.smolmachine", "pack push x", "pack prune --keep x", "machine images --name m", "machine images --name nobody --json",
	"machine prune", "machine create -p 80:x",
	"machine create LABELLED --label a=b", "machine create LABELLED -- sleep 1",
	"machine create --cpus", "machine create --cpus x", "machine create --cpus 0", "machine create --net --net",
	"machine create --allow-cidr 300.1.1.1", "machine create --net-backend user",
	"machine create WITH-", "machine status", "machine status --name m", "machine status --name nobody", "machine status --name nobody --json",
	"machine status --name m --json", "machine ls --json", "machine ls",
	"machine start --name nobody", "machine start --proxy x", "machine stop --name nobody", "machine stop", "machine stop --name m",
	"machine exec --name m -- true", "machine exec --name nobody -- true", "machine exec -n m -- true", "machine exec --name m",
	"machine exec --name m --timeout 30 -- true", "machine exec --name m --timeout 0s -- true", "machine exec -t --name m -- sh",
	"machine exec -d --name m -- true",
	"machine cp a b", "machine cp m:/a m:/b", "machine cp a", "machine cp /nonexistent m:/b", "machine cp nobody:/a b", "machine cp --mode 755 a m:/b",
	"machine data-dir NAME",
	"machine delete", "machine delete m", "machine delete --name m", "machine rm NAME --cascade", "machine delete NAME -f", "machine delete NOBODY -f",
}

func TestGrammar(t *testing.T) {
	for _, release := range simulated {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, release)
			var lines []string
			for _, line := range grammarLines {
				for _, n := range [][2]string{{"NAME", "m"}, {"NOBODY", "nobody"}, {"WITH-", "with-"}, {"LABELLED", "labelled"}, {"OTHER", "other"}} {
					line = strings.ReplaceAll(line, n[0], strings.Join(h.named(n[1]), " "))
				}
				lines = append(lines, line)
			}
			golden(t, "grammar-"+release+".golden", h.transcript(lines...))
		})
	}
}

func TestHelp(t *testing.T) {
	for _, release := range simulated {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, release)
			golden(t, "help-"+release+".golden", h.transcript("--help", "machine --help", "machine create --help", "machine exec -h", "machine delete -h"))
		})
	}
}

// lifeLines are one machine's life.
var lifeLines = []string{
	"machine start --name m", "machine start --name m", "machine status --name m", "machine ls --json", "machine ls",
	"machine exec --name m -- echo hello", "machine exec --name m -- false", "machine exec --name m -- sh -c exit\t3",
	"machine exec --name m -- kill-nobody-has", "machine exec --name m -- /etc/passwd", "machine exec --name m -w /nowhere -- pwd",
	"machine exec --name m -w /tmp -e A=2 -e =dropped -e dropped -- sh -c pwd;echo\t$A\t$HOME\t$TERM\t$PATH",
	"machine exec --name m -e 1A=x -- true", "machine exec --name m --stream -- kill-nobody-has",
	"machine exec --name m -- sh -c kill\t-9\t$$", "machine exec --name m --timeout 50ms -- sleep 5",
	"machine cp m:/nonexistent x", "machine cp m:/etc x", "machine cp m:/../etc/passwd x", "machine cp /usr m:/x", "machine cp /usr/lib/os-release m:/tmp",
	"machine stop --name m", "machine stop --name m", "machine status --name m", "machine exec --name m -- true",
	"machine start --name m", "machine delete NAME -f", "machine status --name m", "machine start", "machine stop",
}

func TestLife(t *testing.T) {
	requireNamespaces(t)
	for _, release := range simulated {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, release)
			var out strings.Builder
			out.WriteString(h.lines(h.createArgs("m", "-e", "A=1")))
			for _, line := range lifeLines {
				out.WriteString(h.lines(tabbed(strings.ReplaceAll(line, "NAME", strings.Join(h.named("m"), " ")))))
			}
			golden(t, "life-"+release+".golden", out.String())
		})
	}
}

// tabbed splits a line at blanks; a tab is a blank inside an argument.
func tabbed(line string) []string {
	args := strings.Split(line, " ")
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "\t", " ")
	}
	return args
}
