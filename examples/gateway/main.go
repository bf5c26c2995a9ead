// Gateway: functions of a cluster over HTTP. Two backends say hello, at a URL that they bring along; another node has
// the gateway before them. It runs until it is interrupted, and prints requests to try.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"broach"
	"broach/gateway"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:18090", "where to listen")
	flag.Parse()
	front := start(broach.Config{Name: "front"})
	defer front.Close()
	for i := range 2 {
		backend := start(broach.Config{Name: "hello", Join: []string{front.Addr().String()}})
		defer backend.Close()
		offer(backend, i+1)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	must(front.WaitFor(ctx, "GET /api/hello/{name}", 2))

	g, err := gateway.New(front,
		gateway.Expose("add", "total", "sleep", "fail", "count", "sum"),
		gateway.RoutesFromNames(),
		gateway.RouteRegexp("GET", `/add/(\d+)\+(\d+)`, "add"),
		gateway.ExposeEvents("greeted"), gateway.PublishEvents("greeted"),
		gateway.Expose("work*"), gateway.Workers("work*")) // for the programs in python/examples
	must(err)
	l, err := net.Listen("tcp", *addr)
	must(err)
	fmt.Print(strings.ReplaceAll(requests, "URL", "http://"+l.Addr().String()))
	serve(gateway.Server(*addr, g), l)
}

// requests are worth a try.
const requests = `listening on URL

curl URL/api/hello/ann
curl 'URL/api/hello/ann?greeting=Good+morning'
curl -H 'Content-Type: application/json' -d '[1, 2]' URL/rpc/add
curl 'URL/rpc/add?arg=1&arg=2'
curl -H 'Content-Type: application/json' -d '{"customer": "ann", "prices": [1.25, 2], "within": "90m"}' URL/rpc/total
curl -H 'Content-Type: application/json' -d '[]' 'URL/rpc/fail?mode=all'
curl -H 'Broach-Timeout: 100ms' -H 'Content-Type: application/json' -d '"2s"' URL/rpc/sleep
curl -N 'URL/rpc/count?arg=5'
curl -N URL/events/greeted          # and meanwhile, elsewhere:
curl -H 'Content-Type: application/json' -d '{"name": "ann"}' URL/events/greeted
curl URL/openapi.json
curl URL/readyz?verbose

`

type order struct {
	Customer string        `json:"customer"`
	Prices   []float64     `json:"prices"`
	Within   time.Duration `json:"within"`
}

type bill struct {
	Customer string    `json:"customer"`
	Total    float64   `json:"total"`
	Due      time.Time `json:"due"`
}

// offer has a backend serve its functions.
func offer(backend *broach.Node, number int) {
	must(backend.Register("GET /api/hello/{name}", func(ctx context.Context, name string, p map[string]any) string {
		greeting, ok := p["greeting"].(string)
		if !ok {
			greeting = "Hello"
		}
		return fmt.Sprintf("%s, %s! This is backend %d.", greeting, name, number)
	}))
	must(backend.Register("add", func(x, y int) int { return x + y },
		broach.Idempotent(), broach.Doc("add(x, y) is x + y")))
	must(backend.Register("total", func(o order) bill {
		b := bill{Customer: o.Customer, Due: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC).Add(o.Within)}
		for _, price := range o.Prices {
			b.Total += price
		}
		return b
	}))
	must(backend.Register("count", func(from int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for ; from > 0 && yield(from, nil); from-- {
				time.Sleep(10 * time.Millisecond)
			}
		}
	}, broach.Idempotent()))
	must(backend.Register("sum", func(numbers iter.Seq2[int, error]) (sum int, _ error) {
		for n, err := range numbers {
			if err != nil {
				return 0, err
			}
			sum += n
		}
		return sum, nil
	}))
	must(backend.Register("fail", func() error { return errors.New("no luck today") }))
	must(backend.Register("sleep", func(ctx context.Context, d time.Duration) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
			return nil
		}
	}))
}

// serve runs until the process is told to end.
func serve(s *http.Server, l net.Listener) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	go func() {
		<-ctx.Done()
		must(s.Shutdown(context.Background()))
	}()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}

func start(cfg broach.Config) *broach.Node {
	cfg.LogLevel = "error"
	node, err := broach.Start(cfg)
	must(err)
	return node
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
