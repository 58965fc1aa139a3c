// An auction: keeps the highest bid, answers every bid, and tells everyone in the room. Go 1.22, standard library.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sync"
)

var (
	admin      = cmp.Or(os.Getenv("ADMIN_URL"), "http://127.0.0.1:9100")
	kinds      = map[int]string{200: "application/json", 400: "application/problem+json", 409: "application/problem+json"}
	oneAtATime sync.Mutex // so that prices are published in the order in which they rise
	highest    int
)

// publish pushes an event to everyone in the room auction:7, whichever ws-node they are connected to.
func publish(event string, payload any) {
	body, _ := json.Marshal(map[string]any{"event": event, "payload": payload})
	request, _ := http.NewRequest("POST", admin+"/api/v1/rooms/auction/7/messages", bytes.NewReader(body))
	request.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + os.Getenv("ADMIN_TOKEN")}}
	if answer, err := http.DefaultClient.Do(request); err != nil {
		fmt.Println("the room was not told:", err)
	} else {
		answer.Body.Close()
	}
}

func bid(client string, price int, err error) (int, map[string]any) {
	if err != nil || price < 1 {
		return 400, map[string]any{"detail": `a bid is {"price": WHOLE NUMBER}`}
	}
	oneAtATime.Lock()
	defer oneAtATime.Unlock()
	fmt.Println("bid", client, price)
	if price <= highest {
		return 409, map[string]any{"detail": fmt.Sprint("the highest bid is ", highest)}
	}
	highest = price
	publish("price", map[string]any{"price": highest, "client": client})
	return 200, map[string]any{"ok": true, "price": highest}
}

func main() {
	http.HandleFunc("/bids", func(w http.ResponseWriter, r *http.Request) {
		var sent struct{ Price int }
		err := json.NewDecoder(r.Body).Decode(&sent)
		status, body := bid(r.Header.Get("ce-client"), sent.Price, err)
		w.Header().Set("content-type", kinds[status])
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(body)
	})
	fmt.Println("the auction is open")
	fmt.Println(http.ListenAndServe("127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "8080"), nil))
}
