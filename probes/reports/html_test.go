package reports

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"bottle.internal/internal/golden"
	"bottle.internal/probes"
)

// writers are the renderings.
var writers = map[string]func(io.Writer, probes.Report) error{"html": WriteHTML, "junit": WriteJUnit, "tap": WriteTAP, "sarif": WriteSARIF}

func rendered(t *testing.T, write func(io.Writer, probes.Report) error, r probes.Report) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestHTMLGolden(t *testing.T) {
	staticCatalogue(t)
	golden.File(t, "report.html", rendered(t, WriteHTML, specimen()))
}

// elements are all elements of a page, with their own text beneath.
func elements(t *testing.T, page []byte) []*html.Node {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var all []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			all = append(all, n)
		}
	}
	return all
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// skeleton is a page without its words: element names and attribute names, in order.
func skeleton(t *testing.T, page []byte) string {
	var b strings.Builder
	for _, n := range elements(t, page) {
		b.WriteString(n.Data)
		for _, a := range n.Attr {
			b.WriteString(" " + a.Key)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Whatever the guest prints, the page has the elements and attributes that it has for plain words.
func TestHTMLStaysAPage(t *testing.T) {
	want := skeleton(t, rendered(t, WriteHTML, hostile("x")))
	for _, p := range payloads {
		page := rendered(t, WriteHTML, hostile(p))
		if got := skeleton(t, page); got != want {
			t.Errorf("%q changes the page", p)
		}
		if strings.ContainsAny(string(page), "\x00\x1b\u202e\u2066") {
			t.Errorf("%q came through as it was", p)
		}
	}
}

// A wrong test would find two different pages alike.
func TestSkeletonBites(t *testing.T) {
	page := rendered(t, WriteHTML, hostile("x"))
	broken := bytes.Replace(page, []byte("<td>x</td>"), []byte("<td><img src=x></td>"), 1)
	if bytes.Equal(page, broken) || skeleton(t, page) == skeleton(t, broken) {
		t.Error("an image more is not seen")
	}
}

// The page loads nothing and runs nothing but its own script, and the policy says so in the hashes of what stands in it.
func TestHTMLIsSelfContained(t *testing.T) {
	policy, texts := "", map[string][]string{}
	for _, n := range elements(t, rendered(t, WriteHTML, specimen())) {
		switch n.Data {
		case "meta":
			if attribute(n, "http-equiv") != "" {
				policy = attribute(n, "content")
			}
		case "script", "style":
			texts[n.Data] = append(texts[n.Data], text(n))
		case "link", "img", "iframe", "object", "base":
			t.Errorf("the page has a <%s>", n.Data)
		}
		if target := attribute(n, "href"); target != "" && !strings.HasPrefix(target, "#") {
			t.Errorf("a link leads to %q", target)
		}
	}
	for _, element := range []string{"script", "style"} {
		if len(texts[element]) != 1 || !strings.Contains(policy, element+"-src '"+digest(texts[element][0])+"'") {
			t.Errorf("%d of <%s>, and the policy is %q", len(texts[element]), element, policy)
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none';") {
		t.Errorf("the policy is %q", policy)
	}
}

// Every finding stands in the matrix and in the list, by a word and not by its colour alone, the worst first.
func TestHTMLShowsEveryFinding(t *testing.T) {
	r := specimen()
	var cells, findings []string
	for _, n := range elements(t, rendered(t, WriteHTML, r)) {
		switch class := attribute(n, "class"); {
		case strings.HasPrefix(class, "cell "):
			cells = append(cells, text(n))
		case class == "finding":
			findings = append(findings, text(n))
		}
	}
	for _, f := range r.Findings {
		word := string(f.Verdict)
		if !slices.ContainsFunc(cells, func(s string) bool { return strings.HasPrefix(s, symbol(f.Verdict)) && strings.HasSuffix(s, word) }) {
			t.Errorf("%s is not in the matrix", f.ID)
		}
		i := slices.IndexFunc(findings, func(s string) bool { return strings.Contains(s, f.ID) })
		if i < 0 {
			t.Errorf("%s is not in the list", f.ID)
			continue
		}
		for _, c := range f.Controls {
			if !strings.Contains(findings[i], c.ID) || !strings.Contains(findings[i], c.State.String()) || !strings.Contains(findings[i], c.Text) {
				t.Errorf("%s does not show control %v", f.ID, c)
			}
		}
	}
	if len(cells) != len(r.Findings) || len(findings) != len(r.Findings) || !strings.Contains(findings[0], string(probes.Leak)) {
		t.Errorf("%d cells, %d findings, first %q", len(cells), len(findings), findings[0])
	}
}

func TestHTMLBanners(t *testing.T) {
	banners := func(r probes.Report) string {
		var all []string
		for _, n := range elements(t, rendered(t, WriteHTML, r)) {
			if attribute(n, "role") == "alert" {
				all = append(all, text(n))
			}
		}
		return strings.Join(all, "\n")
	}
	r := specimen()
	if got := banners(r); !strings.HasPrefix(got, "SIMULATED") {
		t.Errorf("simulated: %q", got)
	}
	r.Simulated = false
	if got := banners(r); got != "" {
		t.Errorf("a sound report: %q", got)
	}
	r.Invalid = "half of it is inconclusive"
	if got := banners(r); !strings.Contains(got, r.Invalid) {
		t.Errorf("invalid: %q", got)
	}
	if got := banners(probes.Report{}); !strings.Contains(got, "nothing is known") {
		t.Errorf("nothing executed: %q", got)
	}
}
