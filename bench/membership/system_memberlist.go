package main

import (
	"io"
	"log"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

var (
	// memberlistLAN has the defaults of memberlist for local networks.
	memberlistLAN = system{name: "lan", title: "memberlist LAN", start: func(b birth) (member, error) {
		return startMemberlist(b, memberlist.DefaultLANConfig())
	}}

	// memberlistFast is about as fast as its users dare to set it.
	memberlistFast = system{name: "fast", title: "memberlist fast", start: func(b birth) (member, error) {
		return startMemberlist(b, fastConfig())
	}}
)

func fastConfig() *memberlist.Config {
	cfg := memberlist.DefaultLANConfig()
	cfg.ProbeInterval, cfg.ProbeTimeout = 200*time.Millisecond, 100*time.Millisecond
	cfg.GossipInterval, cfg.GossipNodes = 50*time.Millisecond, 4
	cfg.SuspicionMult = 3
	cfg.PushPullInterval = 5 * time.Second
	return cfg
}

// listMember is a node of memberlist. Its name is its address.
type listMember struct {
	list      *memberlist.Memberlist
	transport listTransport
	notes     *listNotes
}

func startMemberlist(b birth, cfg *memberlist.Config) (member, error) {
	tr, err := openListTransport(b)
	if err != nil {
		return nil, err
	}
	notes := &listNotes{run: b.run, runs: make(map[string]string), news: b.news}
	cfg.Name, cfg.Transport, cfg.Logger = tr.port.self.String(), tr, log.New(io.Discard, "", 0)
	cfg.Delegate, cfg.Events = notes, notes
	list, err := memberlist.Create(cfg)
	if err != nil {
		tr.Shutdown()
		return nil, err
	}
	m := listMember{list, tr, notes}
	if b.seed.IsValid() {
		_, err = list.Join([]string{b.seed.String()})
	}
	return m, err
}

func (m listMember) addr() netip.AddrPort { return m.transport.port.self }

func (m listMember) sees() map[netip.AddrPort]string {
	runs := m.notes.all()
	view := make(map[netip.AddrPort]string)
	for _, one := range m.list.Members() {
		view[netip.MustParseAddrPort(one.Name)] = runs[one.Name]
	}
	return view
}

func (m listMember) leave() {
	m.list.Leave(10 * time.Second)
	m.kill()
}

func (m listMember) kill() {
	m.transport.port.silent.Store(true)
	m.list.Shutdown()
}

// listNotes is told by memberlist what happens, and tells it this node's metadata. What Members returns changes while
// it is read, so the metadata of the others are noted here.
type listNotes struct {
	run  string
	news *news

	mu   sync.Mutex
	runs map[string]string // by name
}

func (l *listNotes) note(n *memberlist.Node) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs[n.Name] = string(n.Meta)
}

func (l *listNotes) all() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.runs)
}

func (l *listNotes) NotifyJoin(n *memberlist.Node)   { l.note(n) }
func (l *listNotes) NotifyUpdate(n *memberlist.Node) { l.note(n) }

// NotifyLeave comes for nodes that left and for nodes that failed: memberlist keeps the difference in a field of its
// own and leaves the State of n alone.
func (l *listNotes) NotifyLeave(*memberlist.Node) { l.news.down.Add(1) }

func (l *listNotes) NodeMeta(int) []byte             { return []byte(l.run) }
func (l *listNotes) NotifyMsg([]byte)                {}
func (l *listNotes) GetBroadcasts(int, int) [][]byte { return nil }
func (l *listNotes) LocalState(bool) []byte          { return nil }
func (l *listNotes) MergeRemoteState([]byte, bool)   {}
