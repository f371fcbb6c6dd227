package smoke_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const specLimit = 30 * time.Second

var _ = Describe("a command in the guest", Label("smoke"), func() {
	It("has its standard output returned", func(ctx SpecContext) {
		res, err := bottle.Exec(ctx, "echo", "hello-from-vm")
		Expect(err).NotTo(HaveOccurred())
		Expect(string(res.Stdout)).To(Equal("hello-from-vm\n"))
		Expect(res.ExitCode).To(BeZero())
		Expect(res.Stderr).To(BeEmpty())
	}, NodeTimeout(specLimit))

	It("has its standard error kept apart", func(ctx SpecContext) {
		res, err := bottle.Exec(ctx, "sh", "-c", "echo out; echo err >&2")
		Expect(err).NotTo(HaveOccurred())
		Expect(string(res.Stdout)).To(Equal("out\n"))
		Expect(string(res.Stderr)).To(Equal("err\n"))
	}, NodeTimeout(specLimit))

	It("has its exit code returned", func(ctx SpecContext) {
		res, err := bottle.Exec(ctx, "sh", "-c", "exit 3")
		Expect(err).NotTo(HaveOccurred())
		Expect(res.ExitCode).To(Equal(3))
	}, NodeTimeout(specLimit))

	It("can fail with 1, which is not smolvm's failure", func(ctx SpecContext) {
		res, err := bottle.Exec(ctx, "sh", "-c", "echo 'Error: vm not found: mine' >&2; exit 1")
		Expect(err).NotTo(HaveOccurred(), "smolvm reports its own failures with 1 as well; this one is the guest's")
		Expect(res.ExitCode).To(Equal(1))
	}, NodeTimeout(specLimit))

	It("gets its arguments verbatim, through no shell", func(ctx SpecContext) {
		res, err := bottle.Exec(ctx, "printf", "%s|", "a b", "$HOME", "--name", "", "'\"*")
		Expect(err).NotTo(HaveOccurred())
		Expect(string(res.Stdout)).To(Equal("a b|$HOME|--name||'\"*|"))
	}, NodeTimeout(specLimit))
})

var _ = Describe("a file", Label("smoke"), func() {
	It("of 10 MiB comes back as it went in", func(ctx SpecContext) {
		dir := GinkgoT().TempDir()
		in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
		content := make([]byte, 10<<20)
		_, _ = rand.Read(content)
		Expect(os.WriteFile(in, content, 0o600)).To(Succeed())

		Expect(bottle.CopyTo(ctx, in, "/workspace/sub/file", 0o755)).To(Succeed())
		res, err := bottle.Exec(ctx, "sh", "-c", "test -x /workspace/sub/file && wc -c </workspace/sub/file")
		Expect(err).NotTo(HaveOccurred())
		Expect(strings.TrimSpace(string(res.Stdout))).To(Equal(strconv.Itoa(len(content))))
		Expect(bottle.CopyFrom(ctx, "/workspace/sub/file", out)).To(Succeed())
		back, err := os.ReadFile(out)
		Expect(err).NotTo(HaveOccurred())
		Expect(back).To(Equal(content), "10 MiB differ")
	}, NodeTimeout(specLimit))
})

// Each of these sees a fact on the host first: what is absent on both sides would prove nothing.
var _ = Describe("the guest is not the host", Label("smoke"), func() {
	It("has another name", func(ctx SpecContext) {
		host, err := os.Hostname()
		Expect(err).NotTo(HaveOccurred())
		res, err := bottle.Exec(ctx, "cat", "/proc/sys/kernel/hostname")
		Expect(err).NotTo(HaveOccurred())
		Expect(strings.TrimSpace(string(res.Stdout))).NotTo(Or(BeEmpty(), Equal(host)))
	}, NodeTimeout(specLimit))

	It("does not see the host's files, nor the host its", func(ctx SpecContext) {
		file := filepath.Join(GinkgoT().TempDir(), "host-canary")
		Expect(os.WriteFile(file, []byte("host"), 0o644)).To(Succeed())
		res, err := bottle.Exec(ctx, "sh", "-c", `test -d /proc/self && echo shell-works; test -e "$1" && echo leak; echo guest > /tmp/guest-canary; cat /tmp/guest-canary`, "sh", file)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(res.Stdout)).To(Equal("shell-works\nguest\n"))
		Expect("/tmp/guest-canary").NotTo(BeAnExistingFile())
	}, NodeTimeout(specLimit))

	It("does not see the host's environment", func(ctx SpecContext) {
		Expect(os.Getenv(hostMarker)).NotTo(BeEmpty())
		res, err := bottle.Exec(ctx, "sh", "-c", `env; cat /proc/1/environ 2>/dev/null | tr '\0' '\n'; true`)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(res.Stdout)).To(ContainSubstring("PATH="))
		Expect(string(res.Stdout)).NotTo(ContainSubstring(hostMarker))
	}, NodeTimeout(specLimit))

	It("does not see the host's processes", func(ctx SpecContext) {
		res, err := bottle.Exec(ctx, "sh", "-c", `cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n'`)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(res.Stdout)).To(ContainSubstring("cmdline"), "the guest sees at least the command that asks")
		Expect(string(res.Stdout)).NotTo(ContainSubstring(filepath.Base(os.Args[0])))
	}, NodeTimeout(specLimit))
})
