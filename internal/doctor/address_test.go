package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/internal/server"
)

// authority signs certificates that the doctor of a test believes.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-1000 * time.Hour),
		NotAfter: time.Now().Add(10_000 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	raw, err := x509.CreateCertificate(rand.Reader, root, root, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return authority{certificate, key}
}

// serve answers over https with a certificate for an address that began and ends so long from now.
func (a authority) serve(t *testing.T, ip string, began, ends time.Duration) *httptest.Server {
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(began), NotAfter: time.Now().Add(ends),
		IPAddresses: []net.IP{net.ParseIP(ip)}}
	raw, err := x509.CreateCertificate(rand.Reader, leaf, a.certificate, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: a.key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	known, unknown := newAuthority(t), newAuthority(t)
	for name, test := range map[string]struct {
		by          authority
		ip          string
		began, ends time.Duration
		finding     string
		status      Status
		says, fix   string
	}{
		"good":          {known, "127.0.0.1", -day, 89 * day, "certificate", OK, "good for 88 days.", ""},
		"ends soon":     {known, "127.0.0.1", -80 * day, 10*day + time.Hour, "certificate", Warning, "good for 10 days.", "renews it"},
		"short, young":  {known, "127.0.0.1", -day, 5*day + time.Hour, "certificate", OK, "good for 5 days.", ""},
		"long, old":     {known, "127.0.0.1", -380 * day, 18*day + time.Hour, "certificate", OK, "good for 18 days.", ""},
		"ended":         {known, "127.0.0.1", -90 * day, -day, "public_url", Failed, " is after ", "renew it"},
		"another name":  {known, "127.0.0.2", -day, day, "public_url", Failed, "is for another name", "get one for 127.0.0.1"},
		"not known":     {unknown, "127.0.0.1", -day, day, "public_url", Failed, "an authority that isn't known", "whole chain"},
		"not yet begun": {known, "127.0.0.1", day, 2 * day, "public_url", Failed, " is before ", "set the clock"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := test.by.serve(t, test.ip, test.began, test.ends)
			roots := x509.NewCertPool()
			roots.AddCert(known.certificate)
			e := &Examined{Program: "mybot", roots: roots, Config: server.Config{
				Install: install.Config{PublicURL: s.URL}, ListenAddr: "127.0.0.1:3000", AdminAddr: "127.0.0.1:1"}}
			var got Finding
			for _, f := range e.reach(t.Context()) {
				if f.Name == test.finding {
					got = f
				}
			}
			if got.Status != test.status || !strings.Contains(got.Text, test.says) || !strings.Contains(got.Fix, test.fix) {
				t.Errorf("%+v", got)
			}
		})
	}
}
