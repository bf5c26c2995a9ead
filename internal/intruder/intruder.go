// Package intruder is an attacker for tests: a process that speaks the protocol by an implementation of its own,
// written from PROTOCOL.md and with nothing of the engine, so that a mistake which both ends of the engine share is
// none here.
//
//	p := intruder.NewProcess(addr, "default", key, 1)  // key: of the cluster, or nil
//	m := intruder.Start(conn, p)                       // conn: a UDP socket, or one of simnet
//	defer m.Close()
//	link, ok := m.Link(node.Addr())                    // open honestly, as a member turned bad does
//	m.Say(node.Addr(), intruder.Suspect(victim))       // and then say what no honest process would
//
// A [Tape] keeps what it is shown of a network. The forms, keys and messages are there alone, too, for who only throws
// bytes: [Open], [Offer],
// [Confirm], [Link], [Message].
package intruder

import (
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
)

// Process is who an intruder is, or claims to be.
type Process struct {
	Addr    netip.AddrPort // that it advertises
	Cluster uint64
	Key     []byte // of the cluster; nil: without keys
	Public  [32]byte
	private *ecdh.PrivateKey // nil without keys
	random  *rand.ChaCha8
}

// NewProcess returns a process at an address of a cluster. The seed decides its key pair and its tokens.
func NewProcess(addr netip.AddrPort, cluster string, key []byte, seed uint64) *Process {
	p := &Process{Addr: addr, Cluster: ClusterID(cluster), Key: key, random: chanceOf(seed)}
	p.random.Read(p.Public[:])
	if key != nil {
		p.setPrivate(p.Public)
	}
	return p
}

// setPrivate gives the process a key pair.
func (p *Process) setPrivate(private [32]byte) {
	p.private, _ = ecdh.X25519().NewPrivateKey(private[:]) // any 32 bytes are one
	p.Public = [32]byte(p.private.PublicKey().Bytes())
}

// Boot is the boot id of the process.
func (p *Process) Boot() uint64 { return BootID(p.Public) }

// BootID is what members call the process with a public key.
func BootID(public [32]byte) uint64 {
	sum := sha256.Sum256(append([]byte("broach 2 boot"), public[:]...))
	return binary.BigEndian.Uint64(sum[:])
}

// ClusterID is how an Open names a cluster.
func ClusterID(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}

// Token draws a token.
func (p *Process) Token() uint64 { return p.random.Uint64() | 1 }

func chanceOf(seed uint64) *rand.ChaCha8 {
	var b [32]byte
	binary.BigEndian.PutUint64(b[:], seed)
	return rand.NewChaCha8(b)
}
