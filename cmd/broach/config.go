package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"broach"
)

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Check a configuration file, or begin one",
		Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(a.configCheckCommand(), a.configInitCommand())
	return c
}

func (a *app) configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check [FILE]", Short: "Say what is wrong with a configuration file, with the environment on top",
		Long: "Say what is wrong with a configuration file, with the environment on top, or with the environment\n" +
			"alone, if no file is named.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			file := strings.Join(args, "")
			cfg, err := broach.LoadConfig(file)
			if unread := (*fs.PathError)(nil); errors.As(err, &unread) {
				return usageError{err}
			}
			if err != nil {
				return err
			}
			warnings, err := warningsOf(cfg)
			if err != nil {
				return err
			}
			for _, w := range warnings {
				a.say("warning: %s", strings.TrimPrefix(w, "broach: "))
			}
			if a.isForPrograms() {
				return a.emitJSON(cfg)
			}
			fmt.Fprintf(a.out, "%s is fine: %s\n", clean(cmp.Or(file, "the environment")), clean(cfg.String()))
			return nil
		},
	}
}

// warningsOf starts a node with the configuration, on a socket that leads nowhere, and listens to what it says.
func warningsOf(cfg broach.Config) ([]string, error) {
	kept := &keptLines{}
	cfg.Conn, cfg.Logger, cfg.Join, cfg.Guest = newNowhere(cfg), slog.New(kept), nil, false
	node, err := broach.Start(cfg)
	if err != nil {
		return nil, err
	}
	err = node.Close()
	kept.mu.Lock()
	defer kept.mu.Unlock()
	return kept.lines, err
}

// keptLines is a log of warnings.
type keptLines struct {
	mu    sync.Mutex
	lines []string
}

// Enabled takes warnings and errors.
func (k *keptLines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle keeps what a line says.
func (k *keptLines) Handle(_ context.Context, r slog.Record) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lines = append(k.lines, r.Message)
	return nil
}

// WithAttrs adds nothing.
func (k *keptLines) WithAttrs([]slog.Attr) slog.Handler { return k }

// WithGroup adds nothing.
func (k *keptLines) WithGroup(string) slog.Handler { return k }

// nowhere is a socket that nothing comes from.
type nowhere struct {
	addr  netip.AddrPort // that of the configuration: who may reach it is said of that
	once  sync.Once
	donec chan struct{} // closed by Close
}

func newNowhere(cfg broach.Config) *nowhere {
	at, _ := netip.ParseAddrPort(cmp.Or(cfg.Advertise, cfg.Addr))
	ip := at.Addr()
	switch {
	case !ip.IsValid():
		ip = netip.MustParseAddr("127.0.0.1")
	case ip.IsUnspecified():
		ip = netip.MustParseAddr("192.0.2.1") // any that others reach
	}
	return &nowhere{addr: netip.AddrPortFrom(ip, max(1, at.Port())), donec: make(chan struct{})}
}

// ReadFromUDPAddrPort waits for the end.
func (c *nowhere) ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error) {
	<-c.donec
	return 0, netip.AddrPort{}, net.ErrClosed
}

// WriteToUDPAddrPort drops what it is given.
func (c *nowhere) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) { return len(b), nil }

// LocalAddr is what the configuration says.
func (c *nowhere) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.addr) }

// Close ends what waits.
func (c *nowhere) Close() error {
	c.once.Do(func() { close(c.donec) })
	return nil
}

// configText is what a new file says.
const configText = `{
  "name": %s,
  "version": "0.1.0",
  "logLevel": "info",
  "params": {
    "rpcIp": "127.0.0.1",
    "rpcPort": 18080,
    "clusterAddress": ["127.0.0.1:18080"],
    "rpcTimeOut": "6s"
  },
  "app": {}
}
`

func (a *app) configInitCommand() *cobra.Command {
	name := ""
	c := &cobra.Command{
		Use: "init [FILE]", Short: "Write a configuration file to begin with, to stdout if none is named",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			quotedName, err := marshal(name)
			if err != nil {
				return err
			}
			text := fmt.Sprintf(configText, quotedName)
			if len(args) == 0 {
				_, err = fmt.Fprint(a.out, text)
				return err
			}
			return a.writeNew(args[0], text, 0o644)
		},
	}
	c.Flags().StringVar(&name, "name", "my-app", "`name` of the application")
	return c
}

// writeNew writes a file that there is not yet.
func (a *app) writeNew(path, text string, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return usagef("%s is there already, and stays as it is", path)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err == nil {
		a.say("wrote %s", path)
	}
	return err
}

func (a *app) keygenCommand() *cobra.Command {
	return &cobra.Command{
		Use: "keygen [FILE]", Short: "Make a key of a cluster: for params.keys, or a file for $BROACH_KEYS_FILE",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			key := make([]byte, 32)
			_, _ = rand.Read(key) // never fails
			text := base64.StdEncoding.EncodeToString(key) + "\n"
			if len(args) > 0 {
				return a.writeNew(args[0], text, 0o600)
			}
			_, err := fmt.Fprint(a.out, text)
			return err
		},
	}
}
