package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"broach"
)

func (a *app) seedCommand() *cobra.Command {
	addr := ""
	c := &cobra.Command{
		Use: "seed", Short: "Run a member that only helps others to join, until it is interrupted", Args: cobra.NoArgs,
		Long: "Run a member that only helps others to join, until it is interrupted. With -f it runs as the file\n" +
			"says; -s and $BROACH_SEEDS name other seeds.",
		Example: "  broach seed --addr 10.0.0.7:18080 -s 10.0.0.8:18080",
		RunE:    func(c *cobra.Command, _ []string) error { return a.runSeed(c.Context(), addr) },
	}
	c.Flags().StringVar(&addr, "addr", "", "`ip:port` to bind; "+defaultSeed+" where neither this nor a file says it")
	return c
}

func (a *app) runSeed(ctx context.Context, addr string) error {
	cfg, err := a.memberConfig(addr, "broach-seed")
	if err != nil {
		return err
	}
	node, err := broach.Start(cfg)
	if err != nil {
		return usageError{err}
	}
	s := &session{Node: node}
	defer s.leave()
	a.say("a seed serves at %v", node.Addr())
	select {
	case <-ctx.Done(): // that is how it is meant to end
		return nil
	case <-node.Done():
		return broach.ErrClosed
	}
}

// memberConfig is that of a member which stays: with its own address, and a log.
func (a *app) memberConfig(addr, name string) (broach.Config, error) {
	cfg, err := broach.LoadConfig(a.file)
	if err != nil {
		return cfg, usageError{err}
	}
	switch {
	case addr != "": // what the file advertises belongs to its own address
		cfg.Addr, cfg.Advertise = addr, os.Getenv("BROACH_ADVERTISE")
	case a.file == "" && os.Getenv("BROACH_ADDR") == "":
		cfg.Addr = defaultSeed
	}
	if len(a.seeds) > 0 {
		cfg.Join = a.seeds
	}
	if a.cluster != "" {
		cfg.Cluster = a.cluster
	}
	level := slog.LevelInfo
	if a.verbose {
		level = slog.LevelDebug
	}
	cfg.Guest, cfg.Name = false, name
	cfg.Logger = slog.New(slog.NewTextHandler(a.log, &slog.HandlerOptions{Level: level}))
	return cfg, nil
}
