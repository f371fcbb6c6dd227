package probes

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"bottle.internal/internal/echo"
)

// metadataPort is where metadata services listen.
const metadataPort = 80

// metadataServices are where clouds have theirs: EC2, GCP, Azure and OpenStack, the same by IPv6, ECS, Azure's wire server, Alibaba,
// Oracle.
var metadataServices = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd20:ce::254"),
	netip.MustParseAddr("169.254.170.2"), netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("192.0.0.192"),
}

// isMetadataService reports whether a metadata service is at addr, in whatever way that is written.
func isMetadataService(addr netip.AddrPort) bool {
	ip := addr.Addr().Unmap().WithZone("")
	if nat64.Contains(ip) {
		b := ip.As16()
		ip = netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr.Port() == metadataPort && slices.Contains(metadataServices, ip)
}

// A metadata is what a cloud's metadata service tells, with one random text for every secret in it. It is immutable.
type metadata struct {
	text  string
	token string // of IMDSv2, in the run
}

func newMetadata() metadata { return metadata{NewDecoyText(), string(echo.NewNonce())} }

// in reports whether b has the whole text.
func (m metadata) in(b []byte) bool { return bytes.Contains(b, []byte(m.text)) }

// A document is what a metadata service has at one path. In its body, %s is the secret.
type document struct {
	path   string // a "/" at the end takes in what is below
	header string // that a request needs, as "Name: value"; "" for none
	body   string
}

// awsHeader is of the token that IMDSv2 hands out. IMDSv1, which asks for none, is answered too: the weaker the service, the more
// gets out of it.
const awsHeader = "X-aws-ec2-metadata-token"

// documents are those that are attacked, the longer path first.
var documents = []document{
	{"/latest/meta-data/iam/security-credentials/bottle", "", `{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ASIABOTTLEDECOY00000","SecretAccessKey":"%[1]s","Token":"%[1]s","Expiration":"2100-01-01T00:00:00Z"}`},
	{"/latest/meta-data/iam/security-credentials/", "", "bottle"},
	{"/latest/meta-data/iam/info", "", `{"Code":"Success","InstanceProfileArn":"arn:aws:iam::000000000000:instance-profile/%s"}`},
	{"/latest/meta-data/instance-id", "", "i-%s"},
	{"/latest/meta-data/", "", "hostname\niam/\ninstance-id\n%s"},
	{"/latest/meta-data", "", "hostname\niam/\ninstance-id\n%s"},
	{"/latest/user-data", "", "#!/bin/sh\nexport TOKEN=%s\n"},
	{"/latest/dynamic/instance-identity/document", "", `{"accountId":"000000000000","instanceId":"i-%s"}`},
	{"/v2/credentials/", "", `{"RoleArn":"bottle","AccessKeyId":"ASIABOTTLEDECOY00000","SecretAccessKey":"%[1]s","Token":"%[1]s"}`},
	{"/computeMetadata/v1/instance/service-accounts/default/token", "Metadata-Flavor: Google", `{"access_token":"%s","expires_in":3599,"token_type":"Bearer"}`},
	{"/computeMetadata/v1/", "Metadata-Flavor: Google", "instance/\nproject/\n%s"},
	{"/metadata/identity/oauth2/token", "Metadata: true", `{"access_token":"%s","expires_in":"86399","token_type":"Bearer"}`},
	{"/metadata/instance", "Metadata: true", `{"compute":{"name":"bottle","userData":"%s"}}`},
	{"/machine/", "", `<?xml version="1.0"?><GoalState><Incarnation>1</Incarnation><ContainerId>%s</ContainerId></GoalState>`},
	{"/openstack/latest/meta_data.json", "", `{"uuid":"bottle","admin_pass":"%s"}`},
	{"/metadata/v1.json", "", `{"droplet_id":1,"user_data":"%s"}`},
	{"/opc/v2/instance/", "Authorization: Bearer Oracle", `{"id":"bottle","metadata":{"user_data":"%s"}}`},
}

// answer is what the service says to the HTTP request that b is, or nil if that is none, or asks for what no service has.
func (m metadata) answer(b []byte) []byte {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
	if err != nil {
		return nil
	}
	if r.URL.Path == "/latest/api/token" {
		return m.handOut(r)
	}
	i := slices.IndexFunc(documents, func(d document) bool {
		return r.URL.Path == d.path || strings.HasSuffix(d.path, "/") && strings.HasPrefix(r.URL.Path, d.path)
	})
	if i < 0 {
		return nil
	}
	d := documents[i]
	token := r.Header.Get(awsHeader)
	name, value, _ := strings.Cut(d.header, ": ")
	switch {
	case r.Method != http.MethodGet:
		return response(http.StatusMethodNotAllowed, "")
	case token != "" && token != m.token:
		return response(http.StatusUnauthorized, "")
	case name != "" && r.Header.Get(name) != value:
		return response(http.StatusForbidden, "")
	}
	return response(http.StatusOK, strings.NewReplacer("%[1]s", m.text, "%s", m.text).Replace(d.body))
}

// handOut is the token of IMDSv2, for whoever asks as one has to.
func (m metadata) handOut(r *http.Request) []byte {
	switch {
	case r.Method != http.MethodPut:
		return response(http.StatusMethodNotAllowed, "")
	case r.Header.Get(awsHeader+"-ttl-seconds") == "":
		return response(http.StatusBadRequest, "")
	}
	return response(http.StatusOK, m.token)
}

func response(code int, body string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nServer: EC2ws\r\nMetadata-Flavor: Google\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		code, http.StatusText(code), len(body), body)
}

// request asks for the document, with n in a parameter that services pass over.
func (d document) request(n echo.Nonce) []byte {
	header := ""
	if d.header != "" {
		header = d.header + "\r\n"
	}
	return []byte("GET " + d.path + "?api-version=2021-02-01&n=" + string(n) + " HTTP/1.1\r\nHost: 169.254.169.254\r\n" + header + "\r\n")
}
