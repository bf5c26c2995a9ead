package clustertest

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"time"
)

// ServeNames puts in a resolver that asks the servers of Names, for as long as the process runs. It is called before
// the tests, outside of all bubbles.
func ServeNames() {
	zones.by = map[string]*Names{}
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return &asking{ctx: ctx}, nil
	}}
	// what package net makes at the first look-up is no bubble's
	_, _ = net.DefaultResolver.LookupNetIP(context.Background(), "ip4", "nobody.test.")
}

// asking is a connection from the resolver to a name server, for one query.
type asking struct {
	net.Conn // has no methods: the resolver calls those below
	ctx      context.Context
	query    query
	reply    []byte // what is left of it
}

func (a *asking) Write(b []byte) (int, error) {
	a.query = b[2:] // after its length, as over TCP
	return len(b), nil
}

func (a *asking) Read(b []byte) (n int, err error) {
	if a.reply == nil {
		if a.reply, err = a.ask(); err != nil {
			return 0, err
		}
	}
	n = copy(b, a.reply)
	a.reply = a.reply[n:]
	return n, nil
}

// ask returns the answer with its length. Nobody has a name outside of the zones.
func (a *asking) ask() ([]byte, error) {
	zones.mu.Lock()
	s := zones.by[a.query.zone()]
	zones.mu.Unlock()
	if s == nil {
		return withLength(a.query.reply(nil)), nil
	}
	reply, err := s.answer(a.ctx, a.query)
	return withLength(reply), err
}

func withLength(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func (a *asking) SetDeadline(time.Time) error { return nil }
func (a *asking) Close() error                { return nil }

// query is a question as DNS asks it, RFC 1035: 12 bytes of header, a name, the type and the class of what is wanted.
type query []byte

const dnsHeader = 12

// labels are the parts of the name, and where in the query it ends.
func (q query) labels() (list []string, end int) {
	for end = dnsHeader; q[end] != 0; end += 1 + int(q[end]) {
		list = append(list, string(q[end+1:end+1+int(q[end])]))
	}
	return list, end + 1
}

func (q query) host() string {
	list, _ := q.labels()
	return list[0]
}

// zone is all but the host.
func (q query) zone() string {
	list, _ := q.labels()
	return strings.Join(list[1:], ".") + "."
}

// family is what is asked for, in the words of package net.
func (q query) family() string {
	if _, end := q.labels(); binary.BigEndian.Uint16(q[end:]) == 1 {
		return "ip4"
	}
	return "ip6"
}

// reply answers with the addresses of the family that was asked for; if there is none, that there is no such host.
func (q query) reply(ips []netip.Addr) []byte {
	_, end := q.labels()
	var answers []byte
	count := 0
	for _, ip := range ips {
		if ip.Is4() == (q.family() == "ip4") {
			answers, count = append(answers, q.record(end, ip)...), count+1
		}
	}
	flags := []byte{0x85, 0x80} // a response of who knows best
	if count == 0 {
		flags[1] |= 3 // no such name
	}
	b := append(append([]byte{}, q[:2]...), flags...)
	b = append(b, 0, 1, byte(count>>8), byte(count), 0, 0, 0, 0) // one question, so many answers
	b = append(b, q[dnsHeader:end+4]...)
	return append(b, answers...)
}

// record is one address of the host, whose name is where the question has it.
func (q query) record(end int, ip netip.Addr) []byte {
	b := append([]byte{0xc0, dnsHeader}, q[end:end+4]...)
	b = append(b, 0, 0, 0, 0, 0, byte(ip.BitLen()/8)) // not to be kept
	return append(b, ip.AsSlice()...)
}
