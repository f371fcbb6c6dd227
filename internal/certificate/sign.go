package certificate

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// ErrKey says that a file holds no ed25519 key of the kind that is needed.
var ErrKey = errors.New("certificate: no ed25519 key")

// ReadKey reads a private key from a PEM file (PKCS #8).
func ReadKey(path string) (ed25519.PrivateKey, error) {
	block, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKey, path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: %s holds a %T", ErrKey, path, parsed)
	}
	return key, nil
}

// ReadPublicKey reads a public key from a PEM file (PKIX).
func ReadPublicKey(path string) (ed25519.PublicKey, error) {
	block, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKey, path, err)
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: %s holds a %T", ErrKey, path, parsed)
	}
	return key, nil
}

func readPEM(path string) (*pem.Block, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%w: %s is no PEM file", ErrKey, path)
	}
	return block, nil
}

// GenerateKey makes a key pair and writes the private one to path, for its owner alone, and the public one to path with ".pub" behind it. A
// file that is there is not touched.
func GenerateKey(path string) (ed25519.PrivateKey, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	known, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	if err := writeNew(path, "PRIVATE KEY", secret, 0o600); err != nil {
		return nil, err
	}
	return private, writeNew(path+".pub", "PUBLIC KEY", known, 0o644)
}

func writeNew(path, kind string, der []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	return errors.Join(pem.Encode(f, &pem.Block{Type: kind, Bytes: der}), f.Close())
}

// signer is DSSE's of one key. Without the private one it only verifies.
type signer struct {
	private ed25519.PrivateKey
	public  ed25519.PublicKey
}

func (s signer) Sign(_ context.Context, data []byte) ([]byte, error) {
	return ed25519.Sign(s.private, data), nil
}

// errSignature says that a signature is not the key's.
var errSignature = errors.New("the signature is not this key's")

func (s signer) Verify(_ context.Context, data, sig []byte) error {
	if !ed25519.Verify(s.public, data, sig) {
		return errSignature
	}
	return nil
}

func (s signer) Public() crypto.PublicKey { return s.public }

// KeyID is the sum of the public key.
func (s signer) KeyID() (string, error) {
	sum := sha256.Sum256(s.public)
	return hex.EncodeToString(sum[:]), nil
}

// Sign is the statement in an envelope, as JSON.
func Sign(ctx context.Context, s Statement, key ed25519.PrivateKey) ([]byte, error) {
	payload, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, ErrKey
	}
	signing, err := dsse.NewEnvelopeSigner(signer{key, public})
	if err != nil {
		return nil, err
	}
	envelope, err := signing.SignPayload(ctx, PayloadType, payload)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	err = enc.Encode(envelope)
	return out.Bytes(), err
}

// open is the statement in an envelope whose signature is key's.
func open(ctx context.Context, envelope []byte, key ed25519.PublicKey) (Statement, error) {
	var e dsse.Envelope
	if err := strict(envelope, &e); err != nil {
		return Statement{}, fmt.Errorf("it is no envelope: %w", err)
	}
	verifying, err := dsse.NewEnvelopeVerifier(signer{public: key})
	if err != nil {
		return Statement{}, err
	}
	if _, err := verifying.Verify(ctx, &e); err != nil {
		return Statement{}, fmt.Errorf("its signature: %w", err)
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		return Statement{}, fmt.Errorf("its payload: %w", err)
	}
	var s Statement
	if err := strict(payload, &s); err != nil {
		return Statement{}, fmt.Errorf("its statement: %w", err)
	}
	if e.PayloadType != PayloadType || s.Type != StatementType || s.PredicateType != PredicateType {
		return Statement{}, fmt.Errorf("it is a %q of %q about %q, and no certificate of isolation", e.PayloadType, s.Type, s.PredicateType)
	}
	return s, nil
}

// strict decodes one JSON value, with no field that is not known and nothing after it.
func strict(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("there is more after it")
	}
	return nil
}
