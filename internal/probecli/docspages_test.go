package probecli

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// docsDate stands in the man page: a page that changed with the day could not be held to what the commands say.
var docsDate = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// documented is the command as the documentation knows it, without what cobra adds to it while it runs.
func documented() *cobra.Command {
	root := newRoot(&settings{stdout: io.Discard, stderr: io.Discard})
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	plain(root)
	return root
}

// plain takes out what differs from build to build.
func plain(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true
	for _, c := range cmd.Commands() {
		plain(c)
	}
}

// markdown is the command line as one page, made of the commands themselves.
func markdown() (string, error) {
	var b bytes.Buffer
	b.WriteString("# bottle-probe\n\n<!-- Generated from the commands: go test ./internal/probecli -run TestDocs -update -->\n\n")
	err := each(documented(), func(cmd *cobra.Command) error {
		var page bytes.Buffer
		if err := doc.GenMarkdownCustom(cmd, &page, anchor); err != nil {
			return err
		}
		b.WriteString(page.String())
		return nil
	})
	return b.String(), err
}

// anchor turns a link to another command's page into one to its heading.
func anchor(name string) string {
	return "#" + strings.ReplaceAll(strings.TrimSuffix(name, ".md"), "_", "-")
}

// manPage is bottle-probe.1: all commands in one page, in troff.
func manPage() (string, error) {
	var b bytes.Buffer
	header := &doc.GenManHeader{Title: "BOTTLE-PROBE", Section: "1", Source: "bottle", Manual: "bottle", Date: &docsDate}
	err := each(documented(), func(cmd *cobra.Command) error {
		var page bytes.Buffer
		if err := doc.GenMan(cmd, header, &page); err != nil {
			return err
		}
		text := page.String()
		if cmd.HasParent() { // one title is enough
			_, after, ok := strings.Cut(text, ".SH NAME\n")
			if !ok {
				return fmt.Errorf("the page of %s has no name", cmd.CommandPath())
			}
			text = fmt.Sprintf(".SH %s\n%s", strings.ToUpper(cmd.CommandPath()), after)
		}
		b.WriteString(text)
		return nil
	})
	return b.String(), err
}

// each calls f for every command that a person may use, the parent first.
func each(cmd *cobra.Command, f func(*cobra.Command) error) error {
	if err := f(cmd); err != nil {
		return err
	}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && !c.IsAdditionalHelpTopicCommand() {
			if err := each(c, f); err != nil {
				return err
			}
		}
	}
	return nil
}
