// Prometheus: two nodes call each other, and one shows what it has counted. Without arguments it scrapes itself once;
// with an address, such as 127.0.0.1:9464, it goes on calling, for a Prometheus to scrape, until it is interrupted.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"broach"
	"broach/metrics"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func main() {
	addr := "127.0.0.1:0"
	if len(os.Args) > 1 {
		addr = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, addr, len(os.Args) > 1); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr string, stays bool) error {
	provider, err := broach.Start(broach.Config{Addr: "127.0.0.1:0", LogLevel: "warn"})
	if err != nil {
		return err
	}
	defer provider.Close()
	if err := provider.Register("pay", pay); err != nil {
		return err
	}
	caller, err := broach.Start(broach.Config{
		Addr: "127.0.0.1:0", LogLevel: "warn", Join: []string{provider.Addr().String()},
	})
	if err != nil {
		return err
	}
	defer caller.Close()

	// With collectors.NewGoCollector of the client library beside it there are the metrics of the Go runtime, too.
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.Collector(caller))
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	web := &http.Server{ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = web.Serve(listener) }()
	defer web.Close()
	if err := call(ctx, caller, stays); err != nil {
		return err
	}
	return scrape(ctx, listener.Addr().String())
}

func pay(sum int) error {
	if sum < 0 {
		return errors.New("there is nothing to pay")
	}
	return nil
}

// call calls a hundred times, or until it is interrupted.
func call(ctx context.Context, n *broach.Node, stays bool) error {
	if err := n.WaitFor(ctx, "pay", 1); err != nil {
		return err
	}
	pay := broach.Bind[func(context.Context, int) error](n, "pay")
	for i := 0; ctx.Err() == nil && (stays || i < 100); i++ {
		if err := pay(ctx, i%10-1); err != nil && !errors.Is(err, broach.ErrApplication) && ctx.Err() == nil {
			return err
		}
		if stays {
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

// scrape prints what a Prometheus would be sent of the calls.
func scrape(ctx context.Context, addr string) error {
	r, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return err
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	for lines := bufio.NewScanner(got.Body); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "broach_call_duration_seconds_count") || strings.HasPrefix(line, "broach_call_f") ||
			strings.HasPrefix(line, "broach_members") {
			fmt.Println(line)
		}
	}
	return nil
}
