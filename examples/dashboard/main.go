// Dashboard: three nodes that call each other, and the page that shows them. Open the address that it prints.
package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"log"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"time"

	"broach"
	"broach/dashboard"
)

var (
	listen = flag.String("listen", "127.0.0.1:8088", "where the page is")
	during = flag.Duration("for", 0, "end after this time; 0: never")
)

// order is what the form of the page asks for, when one calls shop.Order.
type order struct {
	Article string
	Pieces  int
	Express bool
	Note    string `msgpack:",omitempty"`
}

func main() {
	flag.Parse()
	web := start(broach.Config{Name: "web", Version: "2.1.0", Tags: map[string]string{"zone": "a"}})
	seed := []string{web.Addr().String()}
	for _, zone := range []string{"a", "b"} {
		shop := start(broach.Config{Name: "shop", Version: "1.4.2", Join: seed, Tags: map[string]string{"zone": zone}})
		must(shop.Register("shop.Price", price, broach.Doc("shop.Price(article): what an article costs, in cents"),
			broach.Idempotent()))
		must(shop.Register("shop.Order", take, broach.Doc("shop.Order(order): orders something; says the number")))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	must(web.WaitFor(ctx, "shop.Price", 2))
	go customers(web)

	token := rand.Text()
	page, err := dashboard.New(web, dashboard.Token(token), dashboard.AllowCalls("shop.*"))
	must(err)
	l, err := net.Listen("tcp", *listen)
	must(err)
	fmt.Printf("http://%s/#token=%s\n", l.Addr(), token)
	server := &http.Server{Handler: page, ReadHeaderTimeout: 5 * time.Second}
	if *during > 0 {
		time.AfterFunc(*during, func() { _ = server.Close() })
	}
	if err := server.Serve(l); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}

func price(article string) (int, error) {
	time.Sleep(time.Duration(mrand.IntN(3)) * time.Millisecond)
	if article == "" {
		return 0, broach.Errorf(broach.InvalidArgument, "an article has a name")
	}
	return 100 + len(article)*7, nil
}

func take(o order) (string, error) {
	if o.Pieces < 1 {
		return "", broach.Errorf(broach.InvalidArgument, "an order has one piece at least")
	}
	return fmt.Sprintf("%s-%d", o.Article, mrand.IntN(1000)), nil
}

// customers ask for prices, and order now and then.
func customers(web *broach.Node) {
	articles := []string{"tea", "milk", "honey", "bread", "salt"}
	for tick := range time.Tick(20 * time.Millisecond) {
		article := articles[mrand.IntN(len(articles))]
		if tick.UnixMilli()%100 < 3 {
			article = "" // a mistake, so that the page has errors to show
		}
		broach.Go[int](context.Background(), web.Caller("shop.Price"), article)
		if mrand.IntN(10) == 0 {
			broach.Go[string](context.Background(), web.Caller("shop.Order"), order{Article: article, Pieces: 1})
		}
	}
}

func start(cfg broach.Config) *broach.Node {
	cfg.LogLevel = "error"
	n, err := broach.Start(cfg)
	must(err)
	return n
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
