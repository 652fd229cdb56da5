import java.net.URI;
import java.net.http.*;

/** One POST by the JDK's HttpClient, as a user's program would send it: Send URL BODY. */
class Send {
    public static void main(String[] args) throws Exception {
        // HttpClient uses a proxy selector only if it gets one.
        var client = HttpClient.newBuilder().proxy(java.net.ProxySelector.getDefault())
            .version(HttpClient.Version.HTTP_1_1).build();
        var request = HttpRequest.newBuilder(URI.create(args[0])).header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(args[1])).build();
        var answer = client.send(request, HttpResponse.BodyHandlers.ofString());
        System.out.println(answer.body() + "\n" + answer.statusCode());
    }
}
