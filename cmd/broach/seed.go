package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"broach"
)

// How the program finds its cluster: by -s, else $BROACH_SEEDS, else the configuration file of -f, else the address of
// the examples on this host. Keys come from a file only: flags are shown to all users of a host.

// defaultSeed is where the sample configuration listens.
const defaultSeed = "127.0.0.1:18080"

// seedPatience is how long a seed has to answer.
const seedPatience = 3 * time.Second

// session is a node of ours, and the member that it asks.
type session struct {
	*broach.Node
	seed   netip.AddrPort   // as it advertises itself; not valid where the node is a member itself
	others []netip.AddrPort // whom it knew when it was last asked: they stand in for it when it is away
}

// config is that of the node to be, without what makes it a guest or a member.
func (a *app) config() (broach.Config, error) {
	read, err := broach.LoadConfig(a.file)
	if err != nil {
		return read, usageError{err}
	}
	cfg := broach.Config{Join: read.Join, Cluster: cmp.Or(a.cluster, read.Cluster), Keys: read.Keys, Name: "broach-cli",
		MaxMessage: read.MaxMessage, MaxPacket: read.MaxPacket, CallTimeout: a.timeout, Logger: a.logger()}
	switch {
	case len(a.seeds) > 0:
		cfg.Join = a.seeds
	case os.Getenv("BROACH_SEEDS") == "":
		cfg.Join = append(cfg.Join, reachableSelf(read.Addr)...)
	}
	if len(cfg.Join) == 0 {
		cfg.Join = []string{defaultSeed}
	}
	cfg.Addr = bindFor(cfg.Join)
	return cfg, nil
}

// reachableSelf is where the process runs that the file is for, if it can be told.
func reachableSelf(addr string) []string {
	at, err := netip.ParseAddrPort(addr)
	switch {
	case err != nil || at.Port() == 0:
		return nil
	case at.Addr().IsUnspecified():
		return []string{netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port()).String()}
	}
	return []string{addr}
}

// bindFor is what a node binds that is to reach its seeds: loopback where they are there, else all addresses. A name
// may lead to either family.
func bindFor(seeds []string) string {
	bind := "127.0.0.1:0"
	for _, seed := range seeds {
		host, _, err := net.SplitHostPort(seed)
		ip, notLiteral := netip.ParseAddr(host)
		switch {
		case err != nil || host == "localhost":
		case notLiteral != nil:
			return bothFamilies()
		case ip.Is4() && !ip.IsLoopback():
			bind = "0.0.0.0:0"
		case ip.Is6() && !ip.Is4In6():
			return cmp.Or(map[bool]string{true: "[::1]:0"}[ip.IsLoopback()], "[::]:0")
		}
	}
	return bind
}

// bothFamilies is where a socket of this system sends to addresses of IPv4 and of IPv6, or of IPv4 if it has no such.
func bothFamilies() string {
	c, err := net.ListenPacket("udp", ":0") // it is [::], unless the system keeps the families apart
	if err != nil {
		return "0.0.0.0:0"
	}
	defer c.Close()
	if c.LocalAddr().(*net.UDPAddr).IP.To4() != nil {
		return "0.0.0.0:0"
	}
	return "[::]:0"
}

// logger is silent, unless -v asks for it.
func (a *app) logger() *slog.Logger {
	if !a.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(a.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// open starts a guest, and waits until a seed has answered it.
func (a *app) open(ctx context.Context, opts ...func(*broach.Config)) (*session, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	cfg.Guest = true
	for _, set := range opts {
		set(&cfg)
	}
	return a.start(ctx, cfg)
}

// join starts a member, for what no guest can do, and says so.
func (a *app) join(ctx context.Context, why string) (*session, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	if isLoopback(cfg.Addr) { // a member there is none for other hosts, if the cluster is on more than this one
		if cfg, err = a.towards(ctx, cfg); err != nil {
			return nil, err
		}
	}
	s, err := a.start(ctx, cfg)
	if err == nil {
		a.say("joined as a member named %s at %v: %s", cfg.Name, s.Addr(), why)
	}
	return s, err
}

// towards is the configuration for where the seed says that it is.
func (a *app) towards(ctx context.Context, cfg broach.Config) (broach.Config, error) {
	asking := cfg
	asking.Guest = true
	s, err := a.start(ctx, asking)
	if err != nil {
		return cfg, err
	}
	defer s.Close()
	if s.seed.IsValid() {
		cfg.Join = []string{s.seed.String()}
		cfg.Addr = bindFor(cfg.Join)
	}
	return cfg, nil
}

func (a *app) start(ctx context.Context, cfg broach.Config) (*session, error) {
	node, err := broach.Start(cfg)
	if err != nil { // it names the field that the flag has set
		return nil, usageError{errors.New(strings.ReplaceAll(err.Error(), "config: Join[", "--seed ["))}
	}
	patience := min(seedPatience, a.timeout)
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := node.WaitJoined(waiting); err != nil {
		_ = node.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, noSeedError{unanswered(cfg, patience, err)}
	}
	s := &session{Node: node}
	if peers := node.Stats().Peers; cfg.Guest && len(peers) > 0 {
		s.seed = peers[0].Addr
	}
	if isLoopback(cfg.Addr) && s.seed.IsValid() && !s.seed.Addr().IsLoopback() {
		_ = node.Close() // from loopback nobody but this host is reached, and the cluster is not on this host alone
		cfg.Join = []string{s.seed.String()}
		cfg.Addr = bindFor(cfg.Join)
		return a.start(ctx, cfg)
	}
	return s, nil
}

func isLoopback(addr string) bool {
	at, err := netip.ParseAddrPort(addr)
	return err == nil && at.Addr().IsLoopback()
}

// unanswered says what was tried, and what else may be wrong: a member of another cluster does not answer at all.
func unanswered(cfg broach.Config, patience time.Duration, err error) error {
	text := err.Error()
	if _, reasons, ok := strings.Cut(text, "has not joined its cluster: "); ok {
		text = reasons
	}
	keys := "without keys"
	if len(cfg.Keys) > 0 {
		keys = "with the keys of the file"
	}
	return fmt.Errorf("no seed answered within %v\n  %s\n  asked for cluster %s, %s: a member of another cluster, or"+
		" with other keys, answers nothing (--cluster, -f, $BROACH_KEYS_FILE)",
		patience, strings.ReplaceAll(text, "; ", "\n  "), quoted(cmp.Or(cfg.Cluster, "default")), keys)
}

// view is what the seed believes, or another member.
func (s *session) view(ctx context.Context, from string, parts ...broach.ViewPart) (broach.View, error) {
	if from != "" {
		at, err := parseAddr("--from", from)
		if err != nil {
			return broach.View{}, err
		}
		return s.Inspect(ctx, at, parts...)
	}
	if !s.seed.IsValid() {
		return broach.View{}, errors.New("the seed has not said where it is: name it by --from")
	}
	v, err := s.Inspect(ctx, s.seed, parts...)
	for _, at := range s.others {
		if ctx.Err() != nil || !errors.Is(err, broach.ErrUnreachable) && !errors.Is(err, broach.ErrDeadlineExceeded) {
			break
		}
		if v, err = s.Inspect(ctx, at, parts...); err == nil {
			s.seed = at
		}
	}
	if err == nil && len(v.Members) > 0 {
		s.others = slices.DeleteFunc(aliveOf(v), func(at netip.AddrPort) bool { return at == s.seed })
	}
	return v, err
}

// parseAddr takes the address of a member.
func parseAddr(what, text string) (netip.AddrPort, error) {
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return at, usagef("%s %s: it must be the ip:port of a member, as `broach members` lists them", what,
			quoted(text))
	}
	return at, nil
}
