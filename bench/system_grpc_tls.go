package main

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// grpcTLS is gRPC with TLS 1.3 and its defaults.
var grpcTLS = system{
	name: "grpc-tls", title: "gRPC over TLS",
	serve: func() (server, error) {
		return serveGRPC(grpc.Creds(credentials.NewServerTLSFromCert(benchCertificate())))
	},
	dial: func(addr string) (client, error) { return dialGRPC(addr, benchRoots()) },
}

// benchCertificate is the same in both processes: its key is made of a fixed seed, and ed25519 signs without chance.
func benchCertificate() *tls.Certificate {
	key := ed25519.NewKeyFromSeed([]byte("thirty-two bytes, no secret here"))
	fixed := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: fixed, NotAfter: fixed.AddDate(100, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		panic(err) // of constants
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// benchRoots are the credentials of a client that trusts that certificate alone.
func benchRoots() credentials.TransportCredentials {
	leaf, err := x509.ParseCertificate(benchCertificate().Certificate[0])
	if err != nil {
		panic(err) // of constants
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return credentials.NewClientTLSFromCert(pool, "")
}
