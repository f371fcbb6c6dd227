package probes

import (
	"encoding/hex"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"bottle.internal/internal/echo"
)

// nameQuery is a DNS query for one name, as any resolver sends it.
func nameQuery(name string, kind uint16) []byte {
	b := []byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for label := range strings.SplitSeq(name, ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0, byte(kind>>8), byte(kind), 0, 1)
}

// tell opens a flow of a world and sends it datagrams; each answer is read before the next.
func tell(t *testing.T, w *World, network string, datagrams ...[]byte) [][]byte {
	t.Helper()
	conn, err := net.Dial("unix", w.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	header := `{"network":"` + network + `","destination":"198.51.100.77:53","source":"100.96.0.2:4711","machine":"m"}` + "\n"
	if _, err := conn.Write([]byte(header)); err != nil {
		t.Fatal(err)
	}
	var answers [][]byte
	for _, d := range datagrams {
		if err := writeFrame(conn, d); err != nil {
			t.Fatal(err)
		}
		b, err := readFrame(conn)
		if err != nil {
			t.Fatalf("%s: no answer to %q: %v", network, d, err)
		}
		answers = append(answers, b)
	}
	return answers
}

// A name that carries a nonce is seen, whether a resolver forwarded it or the guest sent it itself, and TXT brings the proof.
func TestWorldSeesNoncesInNames(t *testing.T) {
	for _, network := range []string{"dns", "udp"} {
		w := newWorld(t)
		n, second := echo.NewNonce(), echo.NewNonce()
		answers := tell(t, w, network, nameQuery("www.example", typeA), nameQuery(strings.ToUpper(string(n))+".tunnel.example", typeTXT), nameQuery(string(second)+".example", typeA))
		txt := string(answers[1])
		at := strings.Index(txt, `{"bottle"`)
		if at < 0 {
			t.Fatalf("%s: %q", network, txt)
		}
		// One string holds 255 bytes; the length of the next stands between.
		line := txt[at:]
		if len(line) > 255 {
			line = line[:255] + line[256:]
		}
		var reply echo.Reply
		if err := json.Unmarshal([]byte(line), &reply); err != nil || !w.Secret().Verify(n, reply) {
			t.Errorf("%s: %+v, %v in %q", network, reply, err, line)
		}
		all := sightings(t, w)
		if len(all) != 2 || all[0].Nonce != n || all[1].Nonce != second || all[0].Network != network {
			t.Errorf("%s: %+v", network, all)
		}
	}
}

// Every name leads somewhere into the world, and always there.
func TestWorldAnswersAnyName(t *testing.T) {
	w := newWorld(t)
	answers := tell(t, w, "dns", nameQuery("a.example", typeA), nameQuery("a.example", typeA), nameQuery("a.example", typeAAAA), nameQuery("a.example", 15))
	for i, want := range []string{"c00c00010001" + "0000003c0004" + "c63364", "c00c00010001" + "0000003c0004" + "c63364", "c00c001c00010000003c0010" + "20010db8", ""} {
		got := hex.EncodeToString(answers[i])
		if !strings.HasPrefix(got, "12348580000100") || !strings.Contains(got, want) {
			t.Errorf("%d: got %s, want %s", i, got, want)
		}
	}
	if string(answers[0]) != string(answers[1]) {
		t.Error("one name leads to two addresses")
	}
	if len(answers[3]) != len(nameQuery("a.example", 15)) {
		t.Errorf("an answer without a record is %x", answers[3])
	}
	if got := sightings(t, w); len(got) != 0 {
		t.Errorf("sightings %+v", got)
	}
}

func TestWorldIsPinged(t *testing.T) {
	w := newWorld(t)
	n := echo.NewNonce()
	answers := tell(t, w, "icmp", []byte("abcdefgh"), echo.Datagram(n))
	if string(answers[0]) != "abcdefgh" || string(answers[1]) != string(echo.Datagram(n)) {
		t.Errorf("%q", answers)
	}
	if all := sightings(t, w); len(all) != 1 || all[0].Nonce != n || all[0].Network != "icmp" {
		t.Errorf("%+v", all)
	}
}

func FuzzParseQuery(f *testing.F) {
	f.Add(nameQuery("a.example", typeTXT))
	f.Add([]byte{})
	f.Add(nameQuery(strings.Repeat("a", 64), typeA))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := parseQuery(b)
		if err != nil {
			return
		}
		q.nonce()
		if answer := q.answer([]byte(strings.Repeat("x", 600))); len(answer) < len(q.header)+len(q.raw) {
			t.Errorf("%x is answered %x", b, answer)
		}
	})
}
